#include "parts/goroutine.hpp"

#include <new>
#include <utility>

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
    case status::semaphore: return "semaphore";
    case status::condition: return "condition_variable wait";
    case status::read_lock: return "shared_mutex lock_shared";
    case status::write_lock: return "shared_mutex lock";
    case status::barrier: return "barrier wait";
    case status::atomic: return "atomic_wait";
  }
  return "?";
}

goroutine_slab::~goroutine_slab() {
  free_blocks(free_);
  free_blocks(empty_);
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

int goroutine_slab::take(goroutine** out, int n) noexcept {
  int taken = 0;
  lock_.lock();
  for (; taken < n; ++taken) {
    if (goroutine* g = loose_) {
      loose_ = g->next;
      out[taken] = g;
    } else if (goroutine_block* b = free_) {
      out[taken] = b->slot[--b->end];
      if (b->end == 0) {
        free_ = b->next;
        b->next = empty_;
        empty_ = b;
      }
    } else {
      if (chunk_used_ == per_chunk && !grow()) break;
      out[taken] = chunks_.load(std::memory_order_relaxed)->slots() + chunk_used_++;
    }
  }
  lock_.unlock();
  return taken;
}

void goroutine_slab::put(goroutine* const* in, int n) noexcept {
  lock_.lock();
  for (int i = 0; i < n; ++i) {
    if (free_ == nullptr || free_->end == goroutine_block::slots) {
      goroutine_block* b = empty_ != nullptr ? std::exchange(empty_, empty_->next) : new_block();
      if (b == nullptr) {
        in[i]->next = loose_;
        loose_ = in[i];
        continue;
      }
      b->next = free_;
      free_ = b;
    }
    free_->slot[free_->end++] = in[i];
  }
  lock_.unlock();
}

goroutine_block* new_block() noexcept {
  try {
    return new (sys::allocate(sizeof(goroutine_block), alignof(goroutine_block))) goroutine_block;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void free_blocks(goroutine_block* b) noexcept {
  while (b != nullptr) sys::deallocate(std::exchange(b, b->next), sizeof(goroutine_block), alignof(goroutine_block));
}

}  // namespace skein::inline SKEIN_ABI::detail
