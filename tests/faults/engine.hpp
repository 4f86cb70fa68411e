// Faults, one or a few in each play of a scenario.
//
// A plan says what goes wrong: which calls of which kind, and how. arm() makes it so, disarm() ends it. A
// scenario is a function that uses a part of skein and checks by itself that nothing is lost: what was
// sent was received, whoever was started has ended. It may be refused what it asks for, in the way that
// the contract allows, and goes on with the rest; so it does everything that may fail in attempt(), and
// never tries again without end: a plan may refuse for ever.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "base/sys.hpp"
#include "skein/go.hpp"
#include "skein/runtime.hpp"

namespace faults {

using skein::sys::call;

// Kinds of calls: those of the seam (`allocate` being each use of operator new, whoever makes it), a
// function of the program that skein calls, a look at the clock, a signal that came.
using kind = int;
constexpr kind of(call c) noexcept { return static_cast<kind>(c); }
inline constexpr kind callback_call = of(call::count);
inline constexpr kind clock_look = callback_call + 1;
inline constexpr kind signal_came = clock_look + 1;
inline constexpr kind kinds = signal_came + 1;

// An answer is an errno, or with a minus how much a call does at most that could do more. What a look at the clock
// can meet stands in its place, the number of a signal, and 1 for what a callback throws. place_of() makes it the
// index of a table, answer_at() is the answer back.
enum clock_fault : int { jumps_hours = 1, jumps_a_little = 2, stands_still = 3 };
inline constexpr int places = 64;
inline constexpr int least_answer = -16;
constexpr int place_of(int answer) noexcept { return answer < 0 ? answer + places : answer; }
constexpr int answer_at(int place) noexcept {
  return place < places + least_answer ? place : place - places;
}
std::string describe(kind k, int answer);

// fault: what the n-th call of a kind is answered.
struct fault {
  kind what = 0;
  int answer = 0;
  long n = 1;
};

enum class how { none, nth, from_nth, every_nth, two, signals };
struct plan {
  how way = how::none;
  fault first = {};
  fault second = {};  // of two
};
std::string text_of(const plan& p);
// parse() reads what text_of() wrote; throws std::invalid_argument.
plan parse(const std::string& text);

void arm(const plan& p);
long disarm() noexcept;              // returns how many faults there were
void note_signal(int sig) noexcept;  // one that came is a fault as well
// Since arm():
long calls(kind k) noexcept;
long faults(kind k, int answer) noexcept;

// live_blocks() counts what operator new gave and delete has not taken back.
long live_blocks() noexcept;

// advance() moves the runtime's clock forward; from then on it is not the kernel's.
void advance(std::int64_t ns) noexcept;

// callback() stands in each function of the program that skein calls and that may throw.
struct thrown {};
void callback();

// require() ends the process, and says where it stood, unless it holds.
void require(bool holds, const char* what);

// attempt() runs a step; false if it was refused, or if one of the scenario's own functions threw.
template <class F> bool attempt(F&& step) {
  try {
    std::forward<F>(step)();
    return true;
  } catch (const std::bad_alloc&) {
  } catch (const std::system_error&) {
  } catch (const thrown&) {
  }
  return false;
}

// settings(n) are options for n processors; the threads of such a runtime take the signals of the plan.
skein::options settings(int procs);

// on(n, body) runs body as the main goroutine; it is refused if the runtime cannot start. It returns when every
// goroutine has ended.
template <class F> void on(int procs, F&& body) {
  skein::options o = settings(procs);
  o.on_exit = skein::on_exit::wait_all;
  attempt([&] { skein::run(body, o); });
}

// scenario: what is played. A cold one begins in a fresh process each time, so that it meets what skein does
// once and for all; the others are played many times in one, and leave nothing behind in it.
struct scenario {
  const char* name;
  void (*play)();
  bool cold = false;
  bool timed = false;           // the clock may jump and stand still
  const char* fatal = nullptr;  // a text that may end the process if a callback throws
};
// The scenarios of a theme, each in a file of its own.
struct theme {
  const scenario* first;
  std::size_t count;
};
theme starts();
theme channels();
theme times();
theme locks();
theme jobs();
theme outsides();
theme files();
theme bodies();
theme throws();

}  // namespace faults
