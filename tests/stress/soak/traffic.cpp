// Values travel through channels that are closed and replaced meanwhile. Each sender numbers what it
// sends. A receiver sees the numbers of one sender grow on one channel (FIFO), and at the end what all
// of them received is what was sent: count and a sum of scattered numbers agree, sender by sender.
//
// Nobody waits for ever: lane i has a receiver that serves only it until it is closed for good, so a
// send without a limit ends. When the senders have ended the lanes are closed, and receivers drain.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <vector>

#include "skein/mutex.hpp"
#include "skein/select.hpp"
#include "skein/shared_mutex.hpp"
#include "skein/time.hpp"
#include "stress/soak/round.hpp"

namespace soak {
namespace {

// stamp: who sent a value, and which one it is.
struct stamp {
  std::uint32_t sender;
  std::uint32_t number;
  friend bool operator==(stamp, stamp) = default;
};

// parcel: what receivers read was written by the sender with nothing but the channel between.
struct parcel {
  stamp s;
  std::array<std::uint64_t, 4> body;
};
template <std::size_t N> void fill(std::array<std::uint64_t, N>& body, stamp s) {
  for (std::size_t i = 0; i < N; ++i) body[i] = mix(s.number) + i;
}
template <std::size_t N> stamp checked(const std::array<std::uint64_t, N>& body, stamp s) {
  for (std::size_t i = 0; i < N; ++i)
    require(body[i] == mix(s.number) + i, "a value was damaged on its way");
  return s;
}

struct slab {
  stamp s;
  std::array<std::uint64_t, 33> body;
};

// broken: thrown by a move or copy of a fragile; the value is gone if it had left its sender.
struct broken {
  stamp s;
};

// fragile: its copy or move number `fuse` throws, if that is not 0. It travels boxed.
class fragile {
 public:
  fragile(stamp s, int fuse) : s_(s), fuse_(fuse) {}
  fragile(const fragile& o) : s_(o.s_), fuse_(o.burn()) {}
  fragile(fragile&& o) : s_(o.s_), fuse_(o.burn()) { o.s_ = {}; }
  fragile& operator=(const fragile& o) {
    fuse_ = o.burn();
    s_ = o.s_;
    return *this;
  }
  fragile& operator=(fragile&& o) {
    *this = static_cast<const fragile&>(o);
    o.s_ = {};
    return *this;
  }
  stamp read() const { return s_; }

 private:
  int burn() const {
    if (fuse_ == 1) throw broken{s_};
    return std::max(0, fuse_ - 1);
  }
  stamp s_;
  int fuse_;
};

template <class T> T make(stamp s, dice& d) {
  if constexpr (std::is_same_v<T, stamp>) {
    return s;
  } else if constexpr (std::is_same_v<T, fragile>) {
    return fragile(s, d.one_in(16) ? 1 + static_cast<int>(d.below(6)) : 0);
  } else if constexpr (std::is_same_v<T, slab>) {
    slab v{s, {}};
    fill(v.body, s);
    return v;
  } else {
    auto p = std::make_unique<parcel>(parcel{s, {}});
    fill(p->body, s);
    return p;
  }
}
stamp read(stamp s) { return s; }
stamp read(const fragile& v) { return v.read(); }
stamp read(const slab& v) { return checked(v.body, v.s); }
stamp read(const std::unique_ptr<parcel>& v) {
  require(v != nullptr, "a value is empty");
  return checked(v->body, v->s);
}

// account: how many of a sender's values, and the sum of their scattered numbers.
struct account {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  void note(std::uint32_t number) {
    ++count;
    sum += mix(number);
  }
  void add(const account& o) {
    count += o.count;
    sum += o.sum;
  }
  friend bool operator==(const account&, const account&) = default;
};

template <class T> class traffic {
 public:
  explicit traffic(worker& w) : r_(w.r), sent_(round::few(w.d, 60)), received_(sent_.size()) {
    static constexpr std::size_t sizes[] = {0, 0, 0, 1, 2, 7, 64, 1000};
    for (std::size_t n = 1 + w.d.below(5); n > 0; --n)
      lanes_.emplace_back(sizes[w.d.below(std::size(sizes))]);
  }

  void run(worker& w) {
    skein::wait_group receivers;
    skein::wait_group senders;
    skein::wait_group closer;
    for (std::size_t i = 0; i < lanes_.size() + w.d.below(2 * sent_.size()); ++i) {
      auto me = std::make_unique<taker>(*this);
      if (i < lanes_.size()) me->only = i;
      receive(receivers, w.d, std::move(me));
    }
    for (std::uint32_t i = 0; i < sent_.size(); ++i) send(senders, w.d, i, {});
    if (w.d.one_in(2)) r_.go(closer, w.d, [this](worker& c) { replace_lanes(c); });

    senders.wait();
    closer.wait();
    for (const skein::chan<T>& c : lanes_) c.close();
    receivers.wait();
    for (std::size_t i = 0; i < sent_.size(); ++i)
      if (!(sent_[i] == received_[i]))
        fail("sender " + std::to_string(i) + " sent " + std::to_string(sent_[i].count) +
             " values, " + std::to_string(received_[i].count) + " were received" +
             (sent_[i].count == received_[i].count ? ", but others" : ""));
  }

 private:
  skein::chan<T> lane(std::size_t i) {
    const std::shared_lock hold(lanes_lock_);
    return lanes_[i];
  }

  // A sender works on in legs, each at another place.
  void send(skein::wait_group& wg, dice& d, std::uint32_t id, account so_far) {
    r_.anywhere(wg, d, [this, &wg, id, sent = so_far](worker& w) mutable {
      for (std::uint64_t n = 1 + w.d.below(w.d.one_in(4) ? 100'000 : 1000); n > 0 && !r_.over();
           --n) {
        const stamp s{id, static_cast<std::uint32_t>(sent.count)};
        if (send_one(w, lane(w.d.below(lanes_.size())), s)) sent.note(s.number);
        w.pause();
      }
      if (!r_.over()) return send(wg, w.d, id, sent);
      sent_[id] = sent;
    });
  }

  bool send_one(worker& w, const skein::chan<T>& c, stamp s) {
    bool sent = false;
    try {
      T v = make<T>(s, w.d);
      try {
        sent = send_somehow(w, c, v);
      } catch (const skein::closed_channel&) {
        w.count(kind::refused);
      }
      if (!sent) require(read(v) == s, "a value that was not sent is not what it was");
    } catch (const broken& b) {
      require(b.s == s, "another value broke");
      w.count(kind::thrown);
      return false;
    }
    w.count(sent ? kind::sent : kind::returned);
    return sent;
  }

  bool send_somehow(worker& w, const skein::chan<T>& c, T& v) {
    switch (w.d.below(13)) {
      case 0: return c.try_send(std::move(v));
      case 1: return c.send_for(std::move(v), w.moment());
      case 2: return c.send_until(std::move(v), skein::now() + w.moment());
      case 3: return c.send(r_.ctx(), std::move(v));
      case 4: {
        auto [ctx, cancel] = skein::with_timeout(r_.ctx(), w.moment());
        return c.send(ctx, std::move(v));
      }
      case 5:
        return skein::select(skein::send(c, std::move(v)), skein::recv(skein::after(w.moment()))) ==
               0;
      case 6: return skein::try_select(skein::send(c, std::move(v))) == 0;
      case 7: {
        std::vector<skein::any_case> cases;
        cases.emplace_back(skein::recv(skein::after(w.moment())));
        cases.emplace_back(skein::recv(r_.ctx().done()));
        cases.emplace_back(skein::send(c, std::move(v)));
        return skein::select(std::span(cases)) == 2;
      }
      case 8:
      case 9:
        if constexpr (std::is_trivially_copyable_v<T>) {
          const skein::chan<T> other = lane(w.d.below(lanes_.size()));
          return skein::select(skein::send(c, v), skein::send(other, v),
                               skein::recv(skein::after(w.moment()))) < 2;
        }
        [[fallthrough]];
      case 10:
        if constexpr (std::is_copy_constructible_v<T>) return c.send(v), true;
        [[fallthrough]];
      default: return c.send(std::move(v)), true;
    }
  }

  // taker: a receiver, and which number it has seen last from whom on the lanes as it knows them.
  struct taker {
    struct view {
      skein::chan<T> c;
      std::vector<std::int64_t> last;
      bool ended = false;
    };
    static constexpr std::size_t all = ~std::size_t{0};

    explicit taker(traffic& t) : of(t), got(t.sent_.size()) {
      for (std::size_t i = 0; i < t.lanes_.size(); ++i)
        views.push_back({t.lane(i), blank(), false});
    }
    std::vector<std::int64_t> blank() const { return std::vector<std::int64_t>(got.size(), -1); }
    bool ended() const {
      if (only != all) return views[only].ended;
      return std::all_of(views.begin(), views.end(), [](const view& v) { return v.ended; });
    }
    void note(stamp s) {
      require(s.sender < got.size(), "a value came that nobody sent");
      got[s.sender].note(s.number);
    }
    void take(view& from, std::optional<T> v) {
      if (!v) return renew(from);
      const stamp s = read(*v);
      note(s);
      require(s.number > from.last[s.sender], "a receiver saw a sender's values out of order");
      from.last[s.sender] = s.number;
    }
    // renew(): the lane was closed; it ends there if it has not been replaced.
    void renew(view& v) {
      skein::chan<T> now = of.lane(static_cast<std::size_t>(&v - views.data()));
      v.ended = now == v.c;
      v.c = v.ended ? skein::chan<T>(skein::nil) : std::move(now);
      v.last = blank();
    }

    traffic& of;
    std::size_t only = all;  // the lane it serves
    std::vector<account> got;
    std::vector<view> views;
  };

  void receive(skein::wait_group& wg, dice& d, std::unique_ptr<taker> who) {
    r_.anywhere(wg, d, [this, &wg, me = std::move(who)](worker& w) mutable {
      for (std::uint64_t n = 1 + w.d.below(w.d.one_in(4) ? 100'000 : 1000); n > 0 && !me->ended();
           --n) {
        try {
          receive_somehow(w, *me);
        } catch (const broken& b) {
          me->note(b.s);
          w.count(kind::thrown);
        }
        w.pause();
      }
      if (!me->ended()) return receive(wg, w.d, std::move(me));
      settle(w, *me);
    });
  }

  void settle(worker& w, const taker& t) {
    const std::lock_guard hold(books_lock_);
    for (std::size_t i = 0; i < received_.size(); ++i) {
      received_[i].add(t.got[i]);
      w.count(kind::received, t.got[i].count);
    }
  }

  void receive_somehow(worker& w, taker& t) {
    typename taker::view& v = t.views[t.only != taker::all ? t.only : w.d.below(t.views.size())];
    const auto got = [&](skein::recv_result<T> x) {
      if (x.has_value() || x.closed()) t.take(v, std::move(x.optional()));
    };
    if (v.ended) return;
    switch (w.d.below(8)) {
      case 0: return got(v.c.try_recv());
      case 1: return got(v.c.recv_for(w.moment()));
      case 2: return got(v.c.recv_until(skein::now() + w.moment()));
      case 3: {
        auto [ctx, cancel] = skein::with_timeout(skein::background(), w.moment());
        return got(v.c.recv(ctx));
      }
      case 4: {
        std::uint64_t n = w.d.below(100);
        for (T& x : v.c) {
          t.take(v, std::move(x));
          if (n-- == 0) return;
        }
        return t.renew(v);
      }
      case 5:
      case 6: return receive_by_select(w, t);
      default: return t.take(v, v.c.recv());
    }
  }

  void receive_by_select(worker& w, taker& t) {
    std::vector<skein::any_case> cases;
    for (typename taker::view& v : t.views)
      if (t.only == taker::all || &v == &t.views[t.only])
        cases.emplace_back(
            skein::recv(v.c, [&t, &v](std::optional<T> x) { t.take(v, std::move(x)); }));
    switch (w.d.below(3)) {
      case 0: skein::select(std::span(cases)); return;
      case 1: skein::try_select(std::span(cases)); return;
      default:
        cases.emplace_back(skein::recv(skein::after(w.moment())));
        skein::select(std::span(cases));
        return;
    }
  }

  // Replaces a lane now and then, and drains the old one, for receivers may have passed it over.
  void replace_lanes(worker& w) {
    while (skein::sleep_for(r_.ctx(), nanoseconds(w.d.below(50'000'000)))) {
      const std::size_t i = w.d.below(lanes_.size());
      taker drain(*this);
      drain.only = i;
      {
        const std::unique_lock hold(lanes_lock_);
        drain.views[i].c = std::exchange(lanes_[i], skein::chan<T>(w.d.below(5)));
      }
      const skein::chan<T> old = drain.views[i].c;
      old.close();
      w.count(kind::closes);
      for (bool more = true; more;) try {
          std::optional<T> v = old.recv();
          more = v.has_value();
          if (more) drain.take(drain.views[i], std::move(v));
        } catch (const broken& b) {
          drain.note(b.s);
          w.count(kind::thrown);
        }
      settle(w, drain);
    }
  }

  round& r_;
  skein::shared_mutex lanes_lock_;
  std::vector<skein::chan<T>> lanes_;
  std::vector<account> sent_;  // each by its sender, at its end
  skein::mutex books_lock_;
  std::vector<account> received_;
};

}  // namespace

void packets(worker& w) { traffic<stamp>(w).run(w); }
void parcels(worker& w) { traffic<std::unique_ptr<parcel>>(w).run(w); }
void slabs(worker& w) { traffic<slab>(w).run(w); }
void fragiles(worker& w) { traffic<fragile>(w).run(w); }

}  // namespace soak
