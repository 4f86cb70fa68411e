// Threads that count under a lock: what excludes nobody shows as a race on the counter.
#pragma once

namespace model {

template <class Lock> auto counting(Lock& lock, int& n, int times = 1) {
  return [&lock, &n, times] {
    for (int i = 0; i < times; ++i) {
      lock.lock();
      ++n;
      lock.unlock();
    }
  };
}

// One who only tries has either the lock or nothing.
template <class Lock> auto trying(Lock& lock, int& n, int& missed) {
  return [&lock, &n, &missed] {
    if (!lock.try_lock()) {
      ++missed;
      return;
    }
    ++n;
    lock.unlock();
  };
}

}  // namespace model
