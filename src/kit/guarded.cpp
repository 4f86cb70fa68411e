#include "skein/detail/guarded.hpp"

#include "sched/goexit.hpp"

namespace skein::inline SKEIN_ABI::detail {

std::exception_ptr call_guarded(void (*call)(void*), void* f) {
  try {
    call(f);
  } catch (sched::goexit&) {
    throw;
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

}  // namespace skein::inline SKEIN_ABI::detail
