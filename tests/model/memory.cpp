#include "memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" char __data_start, _end;  // the linker's: writable data of the program

namespace model {
namespace {

constexpr std::size_t cell_bytes = 128;
constexpr std::uintptr_t maps = memory::arena + memory::arena_bytes / 4;  // below: the heap

char* reserve(std::uintptr_t at, std::size_t bytes) {
  const int fixed = at != 0 ? MAP_FIXED_NOREPLACE : 0;
  void* p = ::mmap(reinterpret_cast<void*>(at), bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
  if (p == MAP_FAILED) {
    std::perror("model: no address space");
    std::_Exit(2);
  }
  return static_cast<char*>(p);
}

std::uint8_t mask_of(std::uintptr_t address, std::size_t bytes) noexcept {
  return static_cast<std::uint8_t>(((1u << bytes) - 1) << (address & 7));
}

}  // namespace

const char* name(order o) noexcept {
  constexpr const char* names[] = {"relaxed", "consume", "acquire", "release",
                                   "acq_rel", "seq_cst", "none"};
  return names[static_cast<int>(o)];
}

memory::memory()
    : image_(&__data_start), image_bytes_(static_cast<std::size_t>(&_end - &__data_start)) {
  reserve(arena, arena_bytes);
  arena_shadow_ = reserve(0, arena_bytes / 8 * cell_bytes);
  image_shadow_ = reserve(0, (image_bytes_ / 8 + 2) * cell_bytes);
}

void memory::begin() noexcept {
  ++execution_;
  if (next_map_ > maps) ::madvise(reinterpret_cast<void*>(maps), next_map_ - maps, MADV_DONTNEED);
  next_ = arena;
  next_map_ = maps;
  strict_ = 0;
  stores_ = 0;
  fences_ = heavies_ = {};
  used_ = 0;
}

memory::cell* memory::cell_of(std::uintptr_t address) noexcept {
  char* base = nullptr;
  if (address - arena < arena_bytes)
    base = arena_shadow_ + (address - arena) / 8 * cell_bytes;
  else if (const auto at =
               address - (reinterpret_cast<std::uintptr_t>(image_) & ~std::uintptr_t{7});
           at < image_bytes_ + 8)
    base = image_shadow_ + at / 8 * cell_bytes;
  else
    return nullptr;  // constants, and what other libraries own
  cell* c = reinterpret_cast<cell*>(base);
  if (c->execution != execution_) {
    c->execution = execution_;
    c->first = 0;
    c->atomic_mask = c->count = c->freed = 0;
  }
  return c;
}

void* memory::allocate(std::size_t bytes, std::size_t align) noexcept {
  if (align < 16) align = 16;
  const std::uintptr_t at = (next_ + 16 + align - 1) & ~(align - 1);
  next_ = (at + bytes + 15) & ~std::uintptr_t{15};
  if (next_ >= maps) fail("out of memory");
  reinterpret_cast<std::size_t*>(at)[-1] = bytes;
  std::memset(reinterpret_cast<void*>(at), 0xa5, bytes);
  return reinterpret_cast<void*>(at);
}

// Freed memory is not used again in the same execution: who touches it is told.
void memory::deallocate(mind& m, void* p, std::uint32_t pc) {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  const std::size_t bytes = reinterpret_cast<std::size_t*>(at)[-1];
  plain(m, at, bytes, true, pc);
  for (std::size_t i = 0; i < bytes; i += 8) cell_of(at + i)->freed = 1;
}

void* memory::map(std::size_t bytes) noexcept {
  const std::uintptr_t at = next_map_;
  next_map_ = (at + bytes + 4095) & ~std::uintptr_t{4095};
  if (next_map_ > arena + arena_bytes - most_threads * stack_bytes) fail("out of address space");
  return reinterpret_cast<void*>(at);
}

void memory::check(mind& m, cell& c, std::uintptr_t address, std::uint8_t mask, bool write,
                   bool atomic, std::uint32_t pc) {
  if (c.freed != 0) {
    char text[128];
    std::snprintf(text, sizeof text, "use of freed memory at %#lx", address);
    fail(text);
  }
  record* own = nullptr;
  int kept = 0;
  for (int i = 0; i < c.count; ++i) {
    record& r = c.by[i];
    const bool conflict = (r.mask & mask) != 0 && r.thread != m.id && (r.write != 0 || write) &&
                          !(r.atomic != 0 && atomic);
    const bool before = r.thread == m.id || r.clock <= m.know.hb.at[r.thread];
    if (conflict && !before) {
      char text[256];
      std::snprintf(text, sizeof text,
                    "data race at %#lx: %s%s of T%d at @%x and %s%s of T%d at @%x", address,
                    r.atomic != 0 ? "atomic " : "", r.write != 0 ? "write" : "read", r.thread, r.pc,
                    atomic ? "atomic " : "", write ? "write" : "read", m.id, pc);
      fail(text);
    }
    // A write after it makes a record superfluous: whoever races with the one races with the other.
    if (write && !atomic && before && (r.mask & ~mask) == 0) continue;
    if (r.thread == m.id && r.mask == mask && r.write == write && r.atomic == atomic)
      own = &c.by[kept];
    c.by[kept++] = r;
  }
  c.count = static_cast<std::uint8_t>(kept);
  if (own == nullptr) {
    if (c.count == cell::records) {  // the oldest goes
      std::memmove(c.by, c.by + 1, sizeof(record) * (cell::records - 1));
      --c.count;
    }
    own = &c.by[c.count++];
  }
  *own = {mask, static_cast<std::uint8_t>(m.id), write, atomic, m.know.hb.at[m.id], pc};
}

void memory::plain(mind& m, std::uintptr_t address, std::size_t bytes, bool write,
                   std::uint32_t pc) {
  while (bytes > 0) {
    const std::size_t here = std::min<std::size_t>(bytes, 8 - (address & 7));
    cell* c = cell_of(address);
    if (c == nullptr) return;
    const std::uint8_t mask = mask_of(address, here);
    check(m, *c, address, mask, write, false, pc);
    if (write && (c->atomic_mask & mask) != 0) forget_atomics(m, *c, mask);
    address += here;
    bytes -= here;
  }
}

// A plain write to an atomic begins it anew: its constructor, or that of another object in this memory.
void memory::forget_atomics(mind& m, const cell& c, std::uint8_t mask) noexcept {
  for (std::uint32_t i = c.first; i != 0; i = locations_[i - 1].next) {
    location& l = locations_[i - 1];
    if ((mask_of(l.address, l.bytes) & mask) == 0) continue;
    l.begun = false;
    l.stores.clear();
    l.strict.clear();
    for (auto& s : l.seen) s.clear();
    l.seen[m.id].push_back({m.know.hb.at[m.id], 0});
  }
}

std::uint64_t memory::value_at(const location& l) noexcept {
  std::uint64_t v = 0;
  std::memcpy(&v, reinterpret_cast<const void*>(l.address), l.bytes);
  return v;
}

// Memory that does not hold the newest store was written by code that is not instrumented, or not yet
// begun. What it holds is then the first store.
void memory::settle(location& l) noexcept {
  const std::uint64_t now = value_at(l);
  if (l.begun && l.stores.back().value == now) return;
  if (l.begun) {
    l.strict.clear();
    for (auto& s : l.seen) s.clear();
  }
  l.stores.clear();
  l.stores.push_back({now, false, {}});
  l.begun = true;
}

location& memory::find(mind& m, std::uintptr_t address, std::uint32_t bytes, bool write,
                       std::uint32_t pc) {
  cell* c = cell_of(address);
  if (c == nullptr) fail("an atomic that is in no memory of the model");
  const std::uint8_t mask = mask_of(address, bytes);
  check(m, *c, address, mask, write, true, pc);
  location* l = nullptr;
  for (std::uint32_t i = c->first; i != 0 && l == nullptr; i = locations_[i - 1].next)
    if (locations_[i - 1].address == address && locations_[i - 1].bytes == bytes)
      l = &locations_[i - 1];
  if (l == nullptr) {
    if (used_ == locations_.size()) locations_.emplace_back();
    l = &locations_[used_++];
    l->address = address;
    l->bytes = bytes;
    l->next = c->first;
    l->number = used_;
    l->begun = false;
    l->strict.clear();
    for (auto& s : l->seen) s.clear();
    c->first = used_;
    c->atomic_mask |= mask;
  }
  settle(*l);
  return *l;
}

std::uint32_t memory::newest_within(const location& l, const clocks& c) noexcept {
  std::uint32_t newest = 0;
  for (int t = 0; t < most_threads; ++t)
    for (std::size_t i = l.seen[t].size(); i > 0; --i)
      if (l.seen[t][i - 1].first <= c.at[t]) {
        newest = std::max(newest, l.seen[t][i - 1].second);
        break;
      }
  return newest;
}

std::uint32_t memory::oldest(const mind& m, const location& l, order o) const noexcept {
  std::uint32_t at = newest_within(l, m.know.sees);
  // After a fence no store is hidden that was seq_cst before the fence; a seq_cst load comes after all
  // of them, and after all fences.
  for (std::size_t i = l.strict.size(); i > 0; --i)
    if (o == order::seq_cst || l.strict[i - 1].first <= m.know.fenced) {
      at = std::max(at, l.strict[i - 1].second);
      break;
    }
  if (o == order::seq_cst) at = std::max(at, newest_within(l, fences_.sees));
  return at;
}

void memory::note(const mind& m, location& l, std::uint32_t index) noexcept {
  auto& s = l.seen[m.id];
  if (s.empty() || s.back().second < index) s.push_back({m.know.hb.at[m.id], index});
}

std::uint64_t memory::read(mind& m, location& l, std::uint32_t index, order o) noexcept {
  const store& s = l.stores[index];
  note(m, l, index);
  if (s.has_message) (acquires(o) ? m.know : m.pending).join(s.message);
  return s.value;
}

void memory::write(mind& m, location& l, std::uint64_t value, order o, bool after) noexcept {
  store s{value, true, m.released};
  if (releases(o)) s.message.join(m.know);
  if (after && l.stores.back().has_message) s.message.join(l.stores.back().message);
  l.stores.push_back(s);
  const auto index = static_cast<std::uint32_t>(l.stores.size() - 1);
  note(m, l, index);
  if (o == order::seq_cst) l.strict.push_back({++strict_, index});
  ++stores_;
  std::memcpy(reinterpret_cast<void*>(l.address), &value, l.bytes);
}

void memory::fence(mind& m, order o) noexcept {
  if (acquires(o)) m.know.join(m.pending);
  if (o == order::seq_cst) {
    m.know.sees.join(fences_.sees);
    m.know.fenced = strict_;
    fences_.sees.join(m.know.sees);
  }
  if (releases(o)) m.released = m.know;
}

// Between a heavy fence and a light or heavy one there is one order, between two light ones none. (As
// in P1202; a light fence is a compiler barrier, a heavy one a membarrier().)
void memory::light_fence(mind& m) noexcept {
  m.know.sees.join(heavies_.sees);
  if (heavies_.fenced > m.know.fenced) m.know.fenced = heavies_.fenced;
  m.light = m.know;
}

void memory::heavy_fence(mind& m, const std::deque<mind*>& all) noexcept {
  for (const mind* other : all) m.know.sees.join(other->light.sees);
  fence(m, order::seq_cst);
  heavies_.sees.join(m.know.sees);
  heavies_.fenced = m.know.fenced;
}

}  // namespace model
