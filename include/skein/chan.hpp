// Channels: Go's chan.
//
//   skein::chan<int> c(16);                       // buffered; chan<int> c; is unbuffered
//   skein::go([c] { for (int i = 0; i < 3; ++i) c.send(i); c.close(); });
//   for (int v : c) std::printf("%d\n", v);       // until closed and drained
#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include "skein/detail/chan_core.hpp"
#include "skein/error.hpp"
#include "skein/time_point.hpp"

namespace skein::inline SKEIN_ABI {

// unit: the value of a channel that only signals. A chan<unit> stores nothing per element.
struct unit {
  friend bool operator==(unit, unit) = default;
};

struct nil_t {
  explicit constexpr nil_t(int) {}
};
// nil: a channel that is no channel. Send and receive on it block for ever, close throws misuse.
inline constexpr nil_t nil{0};

// status: how an operation that need not succeed ended.
enum class status : std::uint8_t { ok, empty, closed, timeout, canceled };

// recv_result<T>: a value, or the reason why there is none. try_recv gives ok, empty or closed;
// the timed forms ok, timeout or closed; the context form ok, canceled or closed.
template <class T> class [[nodiscard]] recv_result {
 public:
  recv_result(std::optional<T> v) : value_(std::move(v)), why_(value_ ? skein::status::ok : skein::status::closed) {}
  explicit recv_result(skein::status why) noexcept : why_(why) {}

  skein::status status() const noexcept { return why_; }
  bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  bool closed() const noexcept { return why_ == skein::status::closed; }
  bool empty() const noexcept { return why_ == skein::status::empty; }
  T& operator*() & noexcept { return *value_; }
  T&& operator*() && noexcept { return *std::move(value_); }
  T* operator->() noexcept { return &*value_; }
  T& value() & { return value_.value(); }
  T&& value() && { return std::move(value_).value(); }
  std::optional<T>& optional() noexcept { return value_; }

 private:
  std::optional<T> value_;
  skein::status why_;
};

namespace detail {

// chan_handle: a counted reference to a channel; all of a view that does not depend on direction.
class chan_handle {
 public:
  chan_handle() noexcept = default;
  explicit chan_handle(chan_core* adopted) noexcept : core_(adopted) {}
  chan_handle(const chan_handle& o) noexcept : core_(o.core_) {
    if (core_ != nullptr) chan_retain(core_);
  }
  chan_handle(chan_handle&& o) noexcept : core_(std::exchange(o.core_, nullptr)) {}
  chan_handle& operator=(chan_handle o) noexcept {
    std::swap(core_, o.core_);
    return *this;
  }
  ~chan_handle() {
    if (core_ != nullptr) chan_release(core_);
  }

  // size() is the number of buffered elements, a snapshot; 0 for nil. capacity() never changes.
  std::size_t size() const noexcept { return chan_size(core_); }
  std::size_t capacity() const noexcept { return chan_capacity(core_); }
  bool is_nil() const noexcept { return core_ == nullptr; }

  chan_core* core() const noexcept { return core_; }

 private:
  chan_core* core_ = nullptr;
};

template <class T> class send_ops;
template <class T> class recv_ops;

}  // namespace detail

template <class T> class chan;

// sender<T>: the send-only view of a channel (Go: chan<- T).
//
// Every operation may be called from any goroutine or thread. send() blocks until the value is
// received (unbuffered) or stored, in FIFO order among the waiting senders; it throws
// closed_channel if the channel is closed or becomes so while it waits. An lvalue is copied before
// the operation begins. An rvalue is moved from only if the operation happens: after a try that
// failed, a time-out, a cancellation or closed_channel it is as it was.
template <class T> class sender {
 public:
  using value_type = T;
  sender(nil_t) noexcept {}

  void send(const T& v) const {
    T copy(v);
    send(std::move(copy));
  }
  void send(T&& v) const {
    if (put(v, [&](void* p) { return detail::chan_send(h_.core(), p); }) == detail::chan_status::closed)
      detail::throw_closed_channel();
  }

  // try_send() never blocks: true if the value was received or stored.
  bool try_send(const T& v) const {
    T copy(v);
    return try_send(std::move(copy));
  }
  bool try_send(T&& v) const {
    return sent(put(v, [&](void* p) { return detail::chan_try_send(h_.core(), p); }));
  }

  // send_for(), send_until(): false when the time is over first.
  template <class V, class Rep, class Period>
  bool send_for(V&& v, std::chrono::duration<Rep, Period> d) const {
    return send_limited(std::forward<V>(v), detail::limit::until(detail::deadline_after(d)));
  }
  template <class V, class Clock, class Dur>
  bool send_until(V&& v, std::chrono::time_point<Clock, Dur> t) const {
    return send_limited(std::forward<V>(v), detail::limit::until(detail::deadline_at(t)));
  }
  // send(ctx, v): false when ctx ends first; ctx.err() says why.
  template <class V> bool send(const context& ctx, V&& v) const {
    return send_limited(std::forward<V>(v), detail::limit::by(ctx));
  }

  // close() wakes every waiter: receivers drain the buffer and then see the end, blocked senders
  // throw. Throws misuse if the channel is closed already or nil.
  void close() const { detail::chan_close(h_.core()); }

  std::size_t size() const noexcept { return h_.size(); }
  std::size_t capacity() const noexcept { return h_.capacity(); }
  bool is_nil() const noexcept { return h_.is_nil(); }
  detail::chan_core* core() const noexcept { return h_.core(); }
  friend bool operator==(const sender& a, const sender& b) noexcept { return a.core() == b.core(); }

 private:
  friend class chan<T>;
  explicit sender(detail::chan_handle h) noexcept : h_(std::move(h)) {}

  template <class Op> static detail::chan_status put(T& v, Op op) {
    typename detail::elem<T>::outgoing out(v);
    const detail::chan_status s = op(out.slot());
    s == detail::chan_status::done ? out.sent() : out.give_back();
    return s;
  }
  static bool sent(detail::chan_status s) {
    if (s == detail::chan_status::closed) detail::throw_closed_channel();
    return s == detail::chan_status::done;
  }
  bool send_limited(const T& v, const detail::limit& l) const {
    T copy(v);
    return send_limited(std::move(copy), l);
  }
  bool send_limited(T&& v, const detail::limit& l) const {
    return sent(put(v, [&](void* p) { return detail::chan_send(h_.core(), p, l); }));
  }

  detail::chan_handle h_;
};

// receiver<T>: the receive-only view of a channel (Go: <-chan T).
//
// recv() blocks until there is a value, in FIFO order among the waiting receivers; nullopt means
// closed and drained. All operations may be called from any goroutine or thread.
template <class T> class receiver {
 public:
  using value_type = T;
  receiver(nil_t) noexcept {}
  // Takes over one reference to a channel made by the library (timers, contexts, joins).
  explicit receiver(detail::chan_handle h) noexcept : h_(std::move(h)) {}

  std::optional<T> recv() const {
    typename detail::elem<T>::incoming in;
    if (detail::chan_recv(h_.core(), in.slot()) != detail::chan_status::done) return std::nullopt;
    return in.take();
  }
  // try_recv() never blocks.
  recv_result<T> try_recv() const {
    return get([&](void* p) { return detail::chan_try_recv(h_.core(), p); });
  }
  template <class Rep, class Period>
  recv_result<T> recv_for(std::chrono::duration<Rep, Period> d) const {
    return recv_limited(detail::limit::until(detail::deadline_after(d)));
  }
  template <class Clock, class Dur>
  recv_result<T> recv_until(std::chrono::time_point<Clock, Dur> t) const {
    return recv_limited(detail::limit::until(detail::deadline_at(t)));
  }
  recv_result<T> recv(const context& ctx) const { return recv_limited(detail::limit::by(ctx)); }

  // An input range: each step receives, the end is closed and drained.
  class iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;
    explicit iterator(const receiver& r) : from_(&r), v_(r.recv()) {}
    T& operator*() const noexcept { return *v_; }
    iterator& operator++() {
      v_ = from_->recv();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept {
      return !i.v_.has_value();
    }

   private:
    const receiver* from_;
    mutable std::optional<T> v_;
  };
  iterator begin() const { return iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }

  std::size_t size() const noexcept { return h_.size(); }
  std::size_t capacity() const noexcept { return h_.capacity(); }
  bool is_nil() const noexcept { return h_.is_nil(); }
  detail::chan_core* core() const noexcept { return h_.core(); }
  friend bool operator==(const receiver& a, const receiver& b) noexcept { return a.core() == b.core(); }

 private:
  template <class Op> static recv_result<T> get(Op op) {
    typename detail::elem<T>::incoming in;
    switch (op(in.slot())) {
      case detail::chan_status::done: return recv_result<T>(in.take());
      case detail::chan_status::closed: return recv_result<T>(status::closed);
      case detail::chan_status::would_block: return recv_result<T>(status::empty);
      case detail::chan_status::timeout: return recv_result<T>(status::timeout);
      case detail::chan_status::canceled: break;
    }
    return recv_result<T>(status::canceled);
  }
  recv_result<T> recv_limited(const detail::limit& l) const {
    return get([&](void* p) { return detail::chan_recv(h_.core(), p, l); });
  }

  detail::chan_handle h_;
};

// chan<T>: a channel. A chan is a handle: copies are the same channel, == compares identity, a
// moved-from chan is nil. It converts to both views; the views convert to nothing. The channel
// lives as long as any handle; elements nobody received are destroyed with it.
template <class T> class chan {
  static_assert(std::is_object_v<T> && std::is_move_constructible_v<T>,
                "a channel carries objects that can be moved");

 public:
  using value_type = T;
  using iterator = typename receiver<T>::iterator;

  // chan() is unbuffered, chan(n) holds up to n elements. Throws std::length_error or
  // std::bad_alloc when n elements cannot exist.
  explicit chan(std::size_t capacity = 0)
      : r_(detail::chan_handle(detail::chan_make(detail::elem<T>::ops, capacity))) {}
  chan(nil_t) noexcept : r_(nil) {}

  operator receiver<T>() const noexcept { return r_; }
  operator sender<T>() const noexcept { return tx(); }

  void send(const T& v) const {
    T copy(v);
    send(std::move(copy));
  }
  void send(T&& v) const {
    if (sender<T>::put(v, [&](void* p) { return detail::chan_send(core(), p); }) ==
        detail::chan_status::closed)
      detail::throw_closed_channel();
  }
  bool try_send(const T& v) const {
    T copy(v);
    return try_send(std::move(copy));
  }
  bool try_send(T&& v) const {
    return sender<T>::sent(
        sender<T>::put(v, [&](void* p) { return detail::chan_try_send(core(), p); }));
  }
  template <class V, class Rep, class Period>
  bool send_for(V&& v, std::chrono::duration<Rep, Period> d) const {
    return tx().send_for(std::forward<V>(v), d);
  }
  template <class V, class Clock, class Dur>
  bool send_until(V&& v, std::chrono::time_point<Clock, Dur> t) const {
    return tx().send_until(std::forward<V>(v), t);
  }
  template <class V> bool send(const context& ctx, V&& v) const {
    return tx().send(ctx, std::forward<V>(v));
  }
  void close() const { detail::chan_close(core()); }

  std::optional<T> recv() const { return r_.recv(); }
  recv_result<T> try_recv() const { return r_.try_recv(); }
  template <class Rep, class Period>
  recv_result<T> recv_for(std::chrono::duration<Rep, Period> d) const {
    return r_.recv_for(d);
  }
  template <class Clock, class Dur>
  recv_result<T> recv_until(std::chrono::time_point<Clock, Dur> t) const {
    return r_.recv_until(t);
  }
  recv_result<T> recv(const context& ctx) const { return r_.recv(ctx); }
  iterator begin() const { return r_.begin(); }
  std::default_sentinel_t end() const noexcept { return {}; }

  std::size_t size() const noexcept { return r_.size(); }
  std::size_t capacity() const noexcept { return r_.capacity(); }
  bool is_nil() const noexcept { return r_.is_nil(); }
  detail::chan_core* core() const noexcept { return r_.core(); }
  friend bool operator==(const chan& a, const chan& b) noexcept { return a.core() == b.core(); }

 private:
  sender<T> tx() const noexcept {
    if (core() == nullptr) return nil;
    detail::chan_retain(core());
    return sender<T>(detail::chan_handle(core()));
  }

  receiver<T> r_;
};

}  // namespace skein::inline SKEIN_ABI

template <class T> struct std::hash<skein::chan<T>> {
  std::size_t operator()(const skein::chan<T>& c) const noexcept {
    return std::hash<const void*>()(c.core());
  }
};
template <class T> struct std::hash<skein::sender<T>> {
  std::size_t operator()(const skein::sender<T>& c) const noexcept {
    return std::hash<const void*>()(c.core());
  }
};
template <class T> struct std::hash<skein::receiver<T>> {
  std::size_t operator()(const skein::receiver<T>& c) const noexcept {
    return std::hash<const void*>()(c.core());
  }
};
