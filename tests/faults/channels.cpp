// Channels and select: what was sent is received once, or still with its sender.
#include "faults/scenes.hpp"

namespace faults {
namespace {

// Three senders, two receivers and the main goroutine, which receives as well. The last sender closes.
template <class T, std::size_t Capacity> void traffic() {
  constexpr int each = 6;
  {
    books b;
    on(2, [&] {
      const skein::chan<T> c(Capacity);
      std::atomic<int> open{1};
      const auto leave = [&] {
        if (--open == 0) c.close();
      };
      team t;
      for (int k = 0; k < 3; ++k) {
        ++open;
        const bool begun = t.go([&, k] {
          for (int i = k * each; i < (k + 1) * each; ++i)
            attempt([&] {
              c.send(T(i));
              b.sent(i);
            });
          leave();
        });
        if (!begun) --open;
      }
      for (int k = 0; k < 2; ++k)
        t.go([&] {
          while (receive<T>(c, b)) {
          }
        });
      leave();
      while (receive<T>(c, b)) {
      }
      t.wait();
    });
    b.close();
  }
  if constexpr (std::is_same_v<T, parcel>)
    require(parcel::live() == 0, "an element was not destroyed");
}

// A channel goes away with values in it.
void dropped() {
  books b;
  on(1, [&] {
    attempt([&] {
      const skein::chan<parcel> c(8);
      for (int i = 0; i < 10; ++i)
        attempt([&] {
          parcel p(i);
          if (c.try_send(std::move(p)))
            b.sent(i);
          else
            require(p.value == i || p.value == -1, "a value came back broken");
        });
      if (c.size() != 0) receive<parcel>(c, b);
      c.close();
      b.close(static_cast<int>(c.size()));
    });
  });
  require(parcel::live() == 0, "an element was not destroyed");
}

// Lvalues are copied before the operation, and stay what they are.
void copies() {
  on(2, [] {
    attempt([] {
      const skein::chan<parcel> c(1);
      books b;
      team t;
      const bool other = t.go([&] {
        while (receive<parcel>(c, b)) {
        }
      });
      for (int i = 0; other && i < 8; ++i)
        attempt([&] {
          const parcel mine(i);
          c.send(mine);
          b.sent(mine.value);
        });
      c.close();
      t.wait();
      b.close();
    });
  });
  require(parcel::live() == 0, "an element was not destroyed");
}

// Time limits and contexts end a send or a receive, but never half of it.
template <class T> void limits() {
  books b;
  on(2, [&] {
    attempt([&] {
      const skein::chan<T> c;
      const auto take = [&b](auto receive) {
        attempt([&] {
          try {
            if (auto v = receive()) b.received(v->value);
          } catch (const thrown&) {
            b.consumed();
          }
        });
      };
      team t;
      std::atomic<bool> over{false};
      t.go([&] {
        for (int i = 0; i < 12; ++i)
          attempt([&] {
            if (c.send_for(T{i}, 200us)) b.sent(i);
          });
        attempt([&] {
          auto [ctx, cancel] = skein::with_timeout(skein::background(), 300us);
          if (c.send(ctx, T{20})) b.sent(20);
        });
        over = true;
      });
      while (t.begun != 0 && !over) {
        take([&] { return c.recv_for(100us); });
        take([&] {
          auto [ctx, cancel] = skein::with_timeout(skein::background(), 100us);
          return c.recv(ctx);
        });
        skein::yield();
      }
      t.wait();
    });
  });
  b.close();
  if constexpr (std::is_same_v<T, parcel>)
    require(parcel::live() == 0, "an element was not destroyed");
}

// Two directions in one select. What the case that fired throws has consumed its value, unless its handler had it.
void select_2() {
  books b;
  on(2, [&] {
    attempt([&] {
      const skein::chan<parcel> in;
      const skein::chan<note> out;
      team t;
      const bool feeds = t.go([&] {
        for (int i = 0; i < 8; ++i)
          attempt([&] {
            in.send(parcel(i));
            b.sent(i);
          });
        in.close();
      });
      const bool drains = t.go([&] {
        while (receive<note>(out, b)) {
        }
      });
      skein::chan<parcel> from = feeds ? in : skein::chan<parcel>(skein::nil);
      int next = 32;
      while (!from.is_nil() || (drains && next < 40)) {
        bool handled = false;
        try {
          const auto got = [&](std::optional<parcel> v) {
            handled = true;
            v ? b.received(v->value) : void(from = skein::nil);
            callback();
          };
          const auto gone = [&] {
            handled = true;
            b.sent(next++);
            callback();
          };
          const skein::chan<note> to = drains && next < 40 ? out : skein::chan<note>(skein::nil);
          skein::select(recv(from, got), send(to, note{next}, gone));
        } catch (const thrown&) {
          if (!handled) b.consumed();
        }
      }
      out.close();
      t.wait();
    });
  });
  b.close();
  require(parcel::live() == 0, "an element was not destroyed");
}

// More cases than a select keeps on its stack, in a list made at run time.
void select_20() {
  books b;
  on(2, [&] {
    attempt([&] {
      std::vector<skein::chan<note>> cs(20);
      team t;
      for (int k = 0; k < 4; ++k)
        t.go([&, k] {
          cs[static_cast<std::size_t>(k * 5)].send(note{k});
          b.sent(k);
        });
      for (int got = 0; got < t.begun;) {
        std::optional<note> v;
        const bool done_so = attempt([&] {
          std::vector<skein::any_case> cases;
          for (const auto& c : cs) cases.emplace_back(recv(c, v));
          skein::select(std::span(cases));
          b.received(v->value);
          ++got;
        });
        // Refused for ever: the plain way.
        if (!done_so)
          for (const auto& c : cs)
            if (auto r = c.try_recv()) b.received(r->value), ++got;
        skein::yield();
      }
      t.wait();
    });
  });
  b.close();
}

void select_time() {
  on(2, [] {
    const skein::chan<int> never;
    for (int i = 0; i < 4; ++i)
      attempt([&] {
        const int fired =
            skein::select(recv(never), recv(skein::after(50us)), recv(skein::after(1ms)));
        require(fired == 1 || fired == 2, "only time could come");
      });
    attempt([&] {
      auto [ctx, cancel] = skein::with_timeout(skein::background(), 100us);
      require(skein::select(recv(never), recv(ctx.done())) == 1, "the context ended");
    });
  });
}

constexpr scenario all[] = {
    {"chan_unbuffered", &traffic<note, 0>},
    {"chan_buffered", &traffic<note, 3>},
    {"chan_parcels", &traffic<parcel, 0>},
    {"chan_parcels_kept", &traffic<parcel, 3>},
    {"chan_dropped", &dropped},
    {"chan_copies", &copies},
    {"chan_limits", &limits<note>, false, true},
    {"chan_limits_parcels", &limits<parcel>, false, true},
    {"select_2", &select_2},
    {"select_20", &select_20},
    {"select_time", &select_time, false, true},
};

}  // namespace

theme channels() { return {all, std::size(all)}; }

}  // namespace faults
