// How a value travels through a channel whose code knows only bytes.
#pragma once

#include <array>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "skein/detail/config.hpp"

namespace skein::inline SKEIN_ABI {

// moves_inline<T>: moving a T and destroying what is left of it may run under a channel's lock.
// True where that runs nobody's code but the compiler's or the standard library's; specialise it
// for a type of yours whose move and destructor do no more than copy a few words. Any other type
// travels boxed, at the price of one allocation per value.
template <class T> inline constexpr bool moves_inline = std::is_trivially_copyable_v<T>;
template <class C, class R>
inline constexpr bool moves_inline<std::basic_string<C, R, std::allocator<C>>> = true;
template <class T> inline constexpr bool moves_inline<std::vector<T, std::allocator<T>>> = true;
template <class T>
inline constexpr bool moves_inline<std::unique_ptr<T, std::default_delete<T>>> = true;
template <class T> inline constexpr bool moves_inline<std::shared_ptr<T>> = true;
template <class T> inline constexpr bool moves_inline<std::optional<T>> = moves_inline<T>;
template <class A, class B>
inline constexpr bool moves_inline<std::pair<A, B>> = moves_inline<A> && moves_inline<B>;
template <class... A> inline constexpr bool moves_inline<std::tuple<A...>> = (moves_inline<A> && ...);
template <class T, std::size_t N> inline constexpr bool moves_inline<std::array<T, N>> = moves_inline<T>;

namespace detail {

// elem_ops describes one element to chan_core. move and destroy are null when bytes will do.
struct elem_ops {
  std::size_t size;
  std::size_t align;
  void (*move)(void* to, void* from) noexcept;  // constructs *to, leaves *from to be destroyed
  void (*leave)(void* shell) noexcept;          // ends what move() left in a buffer slot
  void (*destroy)(void* value) noexcept;        // ends a value that nobody received
};

// elem<T> chooses the form in which a T travels and moves it in and out of that form.
template <class T>
inline constexpr bool travels_boxed =
    !(std::is_trivially_copyable_v<T> ||
      (moves_inline<T> && std::is_nothrow_move_constructible_v<T> &&
       std::is_nothrow_destructible_v<T>));

template <class T, bool Boxed = travels_boxed<T>> struct elem;

template <class T> struct elem<T, false> {
  static constexpr std::size_t size =
      std::is_empty_v<T> && std::is_trivially_copyable_v<T> ? 0 : sizeof(T);
  static void move(void* to, void* from) noexcept {
    ::new (to) T(std::move(*static_cast<T*>(from)));
  }
  static void destroy(void* v) noexcept { static_cast<T*>(v)->~T(); }
  static constexpr bool trivial = std::is_trivially_copyable_v<T>;
  static constexpr elem_ops ops{size, alignof(T), trivial ? nullptr : &move,
                                trivial ? nullptr : &destroy, trivial ? nullptr : &destroy};

  // outgoing: what a send hands to the channel; the caller's value stays where it is until taken.
  class outgoing {
   public:
    explicit outgoing(T& v) noexcept : at_(std::addressof(v)) {}
    void* slot() noexcept { return at_; }
    void sent() noexcept {}
    void give_back() noexcept {}

   private:
    T* at_;
  };

  // incoming: room for one value, empty until the channel fills it.
  class incoming {
   public:
    incoming() noexcept {}
    void* slot() noexcept { return bytes_; }
    std::optional<T> take() noexcept {
      T* p = std::launder(reinterpret_cast<T*>(bytes_));
      if constexpr (std::is_trivially_copyable_v<T>) {
        return std::optional<T>(std::move(*p));
      } else {
        struct ender {
          T* p;
          ~ender() { p->~T(); }
        } end{p};
        return std::optional<T>(std::move(*p));
      }
    }

   private:
    alignas(T) unsigned char bytes_[sizeof(T)];
  };
};

template <class T> struct elem<T, true> {
  static void destroy(void* v) noexcept { delete *static_cast<T**>(v); }
  static constexpr elem_ops ops{sizeof(T*), alignof(T*), nullptr, nullptr, &destroy};

  // The box is made before the operation begins, so the channel only ever moves a pointer. If the
  // operation does not happen the value goes back to where it came from.
  class outgoing {
   public:
    explicit outgoing(T& v) : from_(std::addressof(v)), box_(new T(std::move(v))) {}
    outgoing(outgoing&& o) noexcept : from_(o.from_), box_(std::exchange(o.box_, nullptr)) {}
    outgoing& operator=(outgoing&&) = delete;
    ~outgoing() { delete box_; }
    void* slot() noexcept { return &box_; }
    void sent() noexcept { box_ = nullptr; }
    void give_back() {
      if constexpr (std::is_move_assignable_v<T>) {
        *from_ = std::move(*box_);
      } else {
        from_->~T();
        ::new (static_cast<void*>(from_)) T(std::move(*box_));
      }
      delete std::exchange(box_, nullptr);  // here, where a destructor may throw
    }

   private:
    T* from_ = nullptr;
    T* box_ = nullptr;
  };

  class incoming {
   public:
    incoming() noexcept = default;
    incoming(incoming&& o) noexcept : box_(std::exchange(o.box_, nullptr)) {}
    incoming& operator=(incoming&&) = delete;
    ~incoming() { delete box_; }
    void* slot() noexcept { return &box_; }
    std::optional<T> take() {
      struct ender {
        T* box;
        ~ender() noexcept(false) { delete box; }
      } end{std::exchange(box_, nullptr)};
      return std::optional<T>(std::move(*end.box));
    }

   private:
    T* box_ = nullptr;
  };
};

}  // namespace detail
}  // namespace skein::inline SKEIN_ABI
