#include "parts/goroutine.hpp"

#include <new>

#include "base/sys.hpp"

namespace skein::inline SKEIN_ABI::detail {
namespace {
constexpr std::size_t block_bytes = 64 * goroutine_slab::chunk_bytes;  // 4 MiB per mapping
}

const char* name(status s) noexcept {
  switch (s) {
    case status::free: return "free";
    case status::runnable: return "runnable";
    case status::running: return "running";
    case status::ended: return "ended";
    case status::chan_send: return "chan send";
    case status::chan_recv: return "chan receive";
    case status::select: return "select";
    case status::select_nothing: return "select (no cases)";
    case status::nil_chan: return "nil chan";
    case status::sleep: return "sleep";
    case status::wait_group: return "wait_group wait";
    case status::mutex: return "mutex lock";
    case status::once: return "once";
    case status::join: return "join";
    case status::fd: return "IO wait";
  }
  return "?";
}

goroutine_slab::~goroutine_slab() {
  while (blocks_ != nullptr) {
    block* b = blocks_;
    blocks_ = b->next;
    sys::unmap(b->base, block_bytes + chunk_bytes);
    sys::deallocate(b, sizeof(block), alignof(block));
  }
}

// Cuts the next chunk; memory is touched only as goroutines are handed out.
bool goroutine_slab::grow() noexcept {
  if (spare_ == spare_end_) {
    void* base = sys::map(block_bytes + chunk_bytes);
    if (base == nullptr) return false;
    try {
      blocks_ = new (sys::allocate(sizeof(block), alignof(block))) block{base, blocks_};
    } catch (const std::bad_alloc&) {
      sys::unmap(base, block_bytes + chunk_bytes);
      return false;
    }
    const auto at = (reinterpret_cast<std::uintptr_t>(base) + chunk_bytes - 1) & ~(chunk_bytes - 1);
    spare_ = reinterpret_cast<char*>(at);
    spare_end_ = spare_ + block_bytes;
  }
  chunk* c = new (spare_) chunk{owner_, chunks_.load(std::memory_order_relaxed), made_};
  spare_ += chunk_bytes;
  chunk_used_ = 0;
  made_ += per_chunk;
  chunks_.store(c, std::memory_order_release);  // pairs with for_each()
  return true;
}

goroutine* goroutine_slab::take(int& n) noexcept {
  goroutine* list = nullptr;
  int taken = 0;
  lock_.lock();
  for (; taken < n; ++taken) {
    goroutine* g = free_;
    if (g != nullptr) {
      free_ = g->next;
    } else {
      if (chunk_used_ == per_chunk && !grow()) break;
      g = chunks_.load(std::memory_order_relaxed)->slots() + chunk_used_++;
    }
    g->next = list;
    list = g;
  }
  lock_.unlock();
  n = taken;
  return list;
}

void goroutine_slab::put(goroutine* first, goroutine* last) noexcept {
  lock_.lock();
  last->next = free_;
  free_ = first;
  lock_.unlock();
}

}  // namespace skein::inline SKEIN_ABI::detail
