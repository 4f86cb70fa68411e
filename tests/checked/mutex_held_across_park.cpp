// With SKEIN_CHECK_MUTEXES a goroutine that parks with a pthread mutex held is reported, once for each
// place that starts such goroutines; nothing else is.
// covers: G9
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>

#include <sys/mman.h>
#include <unistd.h>

#include "skein/skein.hpp"

namespace {

using namespace std::chrono_literals;

int failures = 0;

// said_by() is what f, as the main goroutine, makes the process write to stderr.
template <class F> std::string said_by(F f, int procs) {
  const int file = memfd_create("stderr", 0);
  const int before = dup(STDERR_FILENO);
  dup2(file, STDERR_FILENO);
  skein::options o;
  o.procs = procs;
  skein::run(f, o);
  dup2(before, STDERR_FILENO);
  close(before);
  std::string text(static_cast<std::size_t>(lseek(file, 0, SEEK_END)), '\0');
  if (pread(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) text = "pread";
  close(file);
  return text;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++n;
  return n;
}

void expect(bool holds, const char* what, const std::string& text) {
  if (holds) return;
  ++failures;
  std::printf("not so: %s; it was said:\n%s\n", what, text.c_str());
}

constexpr const char* headline = "parks with a pthread mutex held";

template <class F> void expect_silence(const char* what, F f) {
  for (const int procs : {1, 2}) {
    const std::string text = said_by(f, procs);
    expect(text.empty(), what, text);
  }
}

std::mutex plain;

// A park that holds `plain`, by a goroutine that this function always starts at the same place.
void park_with_it() {
  const skein::chan<int> c;
  skein::wait_group wg;
  wg.go([c] {
    const std::lock_guard hold(plain);
    c.send(1);
  });
  skein::yield();  // it runs first and finds no receiver
  c.recv();
  wg.wait();
}

void is_reported_once() {
  char address[32];
  std::snprintf(address, sizeof address, "mutex: %p", static_cast<void*>(plain.native_handle()));
  const std::string text = said_by(
      [] {
        for (int i = 0; i < 50; ++i) park_with_it();
      },
      1);
  expect(count(text, headline) == 1, "one report for one place", text);
  for (const char* part : {static_cast<const char*>(address), "locked in ", "mutexes held: 1\n",
                           "waits for: chan send\n", "created by ", "skein::mutex", "parks at:\n"})
    expect(count(text, part) == 1, part, text);
}

void is_reported_for_each_way_to_lock() {
  const std::string text = said_by(
      [] {
        std::mutex other;
        std::recursive_mutex recursive;
        std::timed_mutex timed;
        skein::wait_group wg;
        wg.go([&] {
          static_cast<void>(plain.try_lock());
          other.lock();
          other.unlock();
          skein::sleep_for(1us);
          plain.unlock();
        });
        wg.wait();
        wg.go([&] {
          const std::lock_guard once(recursive);
          {
            const std::lock_guard twice(recursive);
          }
          skein::sleep_for(1us);
        });
        wg.wait();
        wg.go([&] {
          static_cast<void>(timed.try_lock_for(1h));
          skein::sleep_for(1us);
          timed.unlock();
        });
        wg.wait();
        wg.go([&] {
          static_cast<void>(timed.try_lock_until(std::chrono::system_clock::now() + 1h));
          skein::sleep_for(1us);
          timed.unlock();
        });
        wg.wait();
      },
      1);
  expect(count(text, headline) == 4, "four reports", text);
  expect(count(text, "mutexes held: 1\n") == 4, "of one mutex each", text);
  expect(count(text, "waits for: sleep\n") == 4, "with the reason", text);
}

void what_is_silent() {
  expect_silence("a mutex that was unlocked before", [] {
    skein::wait_group wg;
    for (int i = 0; i < 10; ++i)
      wg.go([] {
        {
          const std::lock_guard hold(plain);
        }
        skein::sleep_for(1us);
      });
    wg.wait();
  });
  expect_silence("one that could not be had", [] {
    const std::lock_guard hold(plain);
    skein::blocking([] {
      std::thread([] {
        skein::run([] {
          skein::wait_group wg;
          wg.go([] {
            if (!plain.try_lock()) skein::sleep_for(1us);
          });
          wg.wait();
        });
      }).join();
    });
  });
  expect_silence("many that were unlocked in any order", [] {
    skein::wait_group wg;
    wg.go([] {
      std::mutex many[20];
      for (std::mutex& m : many) m.lock();
      for (int i = 0; i < 20; ++i) many[i * 7 % 20].unlock();
      skein::sleep_for(1us);
    });
    wg.wait();
  });
  expect_silence("a condition variable of the standard", [] {
    bool ready = false;
    std::condition_variable filled;
    std::thread other([&] {
      const std::lock_guard hold(plain);
      ready = true;
      filled.notify_one();
    });
    skein::wait_group wg;
    wg.go([&] {
      {
        std::unique_lock hold(plain);
        filled.wait(hold, [&] { return ready; });
      }
      skein::sleep_for(1us);
    });
    wg.wait();
    other.join();
  });
  expect_silence("a skein::mutex", [] {
    skein::mutex m;
    skein::wait_group wg;
    for (int i = 0; i < 5; ++i)
      wg.go([&] {
        const std::lock_guard hold(m);
        skein::sleep_for(1us);
      });
    wg.wait();
  });
  expect_silence("a plain thread", [] {
    const skein::chan<int> c;
    std::thread other([&] {
      const std::lock_guard hold(plain);
      c.send(1);
    });
    skein::sleep_for(1us);
    c.recv();
    other.join();
  });
}

}  // namespace

int main() {
  is_reported_once();
  is_reported_for_each_way_to_lock();
  what_is_silent();
  return failures == 0 ? 0 : 1;
}
