// Singleflight: simultaneous calls for one key share one execution (Go: x/sync/singleflight).
//
//   skein::singleflight<std::string, page> flights;
//   const auto p = flights.call(url, [&] { return fetch(url); });   // however many ask: one fetch
//   show(*p);
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "skein/chan.hpp"
#include "skein/context.hpp"
#include "skein/detail/guarded.hpp"
#include "skein/mutex.hpp"
#include "skein/wait_group.hpp"

namespace skein::inline SKEIN_ABI {

template <class Key, class T, class Hash, class Equal> class singleflight;

// flight_result<T>: a shared handle to what one execution gave; T itself is not copied. Valid after the
// singleflight has gone.
template <class T> class flight_result {
 public:
  // get() is the value, the same object for all who shared the execution. It rethrows what f threw, to
  // each of them, and throws goroutine_exited if f called exit_goroutine().
  std::add_lvalue_reference_t<const T> get() const {
    if (end_->error) std::rethrow_exception(end_->error);
    if (!end_->value) throw goroutine_exited();
    if constexpr (!std::is_void_v<T>) return *end_->value;
  }
  std::add_lvalue_reference_t<const T> operator*() const { return get(); }
  const T* operator->() const
    requires(!std::is_void_v<T>)
  {
    return std::addressof(get());
  }
  // shared() tells whether more than one caller asked for this execution.
  bool shared() const noexcept { return end_->callers > 1; }

 private:
  template <class, class, class, class> friend class singleflight;
  // outcome: written by the flight, read by its callers after it has landed.
  struct outcome {
    std::optional<std::conditional_t<std::is_void_v<T>, unit, T>> value;
    std::exception_ptr error;  // neither of the two: f left through exit_goroutine()
    std::uint64_t callers = 1;
  };
  explicit flight_result(std::shared_ptr<const outcome> end) noexcept : end_(std::move(end)) {}

  std::shared_ptr<const outcome> end_;
};

// It moves as its shared_ptr does, so a flight lands without memory for its answers.
template <class T> inline constexpr bool moves_inline<flight_result<T>> = true;

// singleflight: all members may be called from any goroutine or thread. A call that comes while an
// execution for its key is under way waits for that one; one that comes later starts anew. What f did
// happens before the return of every call that shares it. Hash, Equal and what the keys and values do
// run without a lock. A call for a key from inside its own execution deadlocks.
template <class Key, class T, class Hash = std::hash<Key>, class Equal = std::equal_to<Key>>
class singleflight {
  static_assert(!std::is_reference_v<T>, "share a pointer instead of a reference");

 public:
  using result = flight_result<T>;

  singleflight() = default;
  singleflight(const singleflight&) = delete;
  singleflight& operator=(const singleflight&) = delete;

  // call() runs f() on the calling goroutine, or blocks until the execution that is under way has
  // ended. An exception of f leaves every call that shared it; exit_goroutine() in f ends the one
  // that ran it, and the others throw goroutine_exited (Go: Group.Do).
  template <class F>
    requires std::invocable<F&>
  result call(const Key& key, F&& f) {
    auto [at, first] = state_->join(key, nullptr);
    first ? state_->run(at, f) : at->landed.wait();
    return checked(at);
  }

  // The timed and context forms return nullopt when the time or the context ends first. The execution
  // goes on without them, for the others: f, copied or moved, runs on a goroutine of its own, and what
  // it refers to must live as long. They throw what go() throws.
  template <class Rep, class Period, class F>
    requires std::invocable<std::decay_t<F>&>
  std::optional<result> call_for(std::chrono::duration<Rep, Period> d, const Key& key, F&& f) {
    return call_until(detail::deadline_after(d), key, std::forward<F>(f));
  }
  template <class Clock, class Dur, class F>
    requires std::invocable<std::decay_t<F>&>
  std::optional<result> call_until(std::chrono::time_point<Clock, Dur> t, const Key& key, F&& f) {
    const time_point end = detail::deadline_at(t);
    const auto at = launch(key, std::forward<F>(f), nullptr);
    if (!at->landed.wait_until(end)) return std::nullopt;
    return checked(at);
  }
  template <class F>
    requires std::invocable<std::decay_t<F>&>
  std::optional<result> call(const context& ctx, const Key& key, F&& f) {
    if (ctx.err()) return std::nullopt;
    const auto at = launch(key, std::forward<F>(f), nullptr);
    if (!at->landed.wait(ctx)) return std::nullopt;
    return checked(at);
  }

  // call_chan() does not wait: the channel gives the result once, also one whose get() throws. f runs on
  // a goroutine of its own (Go: Group.DoChan).
  template <class F>
    requires std::invocable<std::decay_t<F>&>
  receiver<result> call_chan(const Key& key, F&& f) {
    chan<result> c(1);
    launch(key, std::forward<F>(f), &c);
    return c;
  }

  // forget() lets the next call for the key start an execution of its own, also while one is under way.
  void forget(const Key& key) { state_->forget(key); }

 private:
  // flight: one execution. The key, and the outcome until it has landed, belong to who runs it; the rest
  // stands under state::lock. A flight is listed from its beginning until it lands or is forgotten; only
  // a listed one is joined, so `callers` does not change any more when the callers look at it.
  struct flight {
    flight(const Key& k, std::size_t h) : key(k), hash(h) { landed.add(); }
    const Key key;
    const std::size_t hash;
    std::shared_ptr<typename result::outcome> end = std::make_shared<typename result::outcome>();
    wait_group landed;
    bool listed = false;
    std::vector<chan<result>> receivers;
  };
  using flight_ptr = std::shared_ptr<flight>;

  // state: outlives the singleflight while a flight without callers is under way.
  struct state {
    mutex lock;
    std::unordered_multimap<std::size_t, flight_ptr> listed;  // by hash
    std::uint64_t started = 0;                                // flights ever listed

    // find() is the listed flight of the key, or null, as of its return, when the lock is held. Keys are
    // compared without the lock: if a flight that was found has gone meanwhile, or one has been listed
    // while none was found, it looks again. `kept` holds flights that might end with us, and with them a
    // key and a value, until the caller has dropped the lock.
    flight_ptr find(const Key& key, std::size_t hash, std::unique_lock<mutex>& hold,
                    std::vector<flight_ptr>& kept) {
      for (;;) {
        const std::size_t from = kept.size();
        const auto [begin, end] = listed.equal_range(hash);
        for (auto at = begin; at != end; ++at) kept.push_back(at->second);
        if (kept.size() == from) return nullptr;
        const std::uint64_t seen = started;
        hold.unlock();
        std::size_t i = from;
        while (i < kept.size() && !Equal()(kept[i]->key, key)) ++i;
        hold.lock();
        if (i < kept.size() ? kept[i]->listed : seen == started)
          return i < kept.size() ? kept[i] : nullptr;
      }
    }

    void unlist(flight& f) {
      const auto [begin, end] = listed.equal_range(f.hash);
      for (auto at = begin; at != end; ++at)
        if (at->second.get() == &f) {
          listed.erase(at);
          break;
        }
      f.listed = false;
    }

    // join() is the flight to wait for, and whether it is the caller's to run.
    std::pair<flight_ptr, bool> join(const Key& key, const chan<result>* to) {
      const std::size_t hash = Hash()(key);
      std::vector<flight_ptr> kept;
      std::unique_lock hold(lock);
      flight_ptr at = find(key, hash, hold, kept);
      if (at == nullptr) {
        hold.unlock();
        auto made = std::make_shared<flight>(key, hash);
        hold.lock();
        at = find(key, hash, hold, kept);
        if (at == nullptr) {
          if (to != nullptr) made->receivers.push_back(*to);
          listed.emplace(hash, made);
          made->listed = true;
          ++started;
          return {std::move(made), true};
        }
        kept.push_back(std::move(made));
      }
      if (to != nullptr) at->receivers.push_back(*to);
      ++at->end->callers;
      return {std::move(at), false};
    }

    void forget(const Key& key) {
      const std::size_t hash = Hash()(key);
      std::vector<flight_ptr> kept;
      std::unique_lock hold(lock);
      if (const flight_ptr at = find(key, hash, hold, kept)) unlist(*at);
    }

    void land(const flight_ptr& at) {
      std::vector<chan<result>> to;
      {
        std::lock_guard hold(lock);
        if (at->listed) unlist(*at);
        to.swap(at->receivers);
      }
      at->landed.done();
      for (const auto& c : to) c.try_send(result(at->end));  // each has room for it
    }

    template <class F> void run(const flight_ptr& at, F& f) {
      struct lander {  // also when f leaves through exit_goroutine()
        state* s;
        const flight_ptr& at;
        ~lander() { s->land(at); }
      } l{this, at};
      auto call = [&] {
        if constexpr (std::is_void_v<T>)
          std::invoke(f), at->end->value.emplace();
        else
          at->end->value.emplace(std::invoke(f));
      };
      at->end->error = detail::call_guarded(call);
    }
  };

  // launch() joins the key's flight; if it is the first its flight gets a goroutine.
  template <class F> flight_ptr launch(const Key& key, F&& f, const chan<result>* to) {
    const auto [at, first] = state_->join(key, to);
    if (first) try {
        go([s = state_, its = at,
            call = std::optional<std::decay_t<F>>(std::forward<F>(f))]() mutable {
          struct ender {  // what f holds is gone before others hear of the end
            std::optional<std::decay_t<F>>& f;
            ~ender() { f.reset(); }
          };
          auto once = [&]() -> T {
            ender e{call};
            return std::invoke(*call);
          };
          s->run(its, once);
        });
      } catch (...) {  // those who have joined hear of it too
        at->end->error = std::current_exception();
        state_->land(at);
        throw;
      }
    return at;
  }

  static result checked(const flight_ptr& at) {
    result r(at->end);
    static_cast<void>(r.get());
    return r;
  }

  std::shared_ptr<state> state_ = std::make_shared<state>();
};

}  // namespace skein::inline SKEIN_ABI
