// Two ways to limit a wait: for each step anew, and for all steps together.
#include <chrono>
#include <cstdio>

#include "skein/skein.hpp"

using namespace std::chrono_literals;

// Says 1, 2, 3 and then nothing more.
void falls_silent(skein::sender<int> out) {
  for (int i = 1; i <= 3; ++i) out.send(i);
}

// Never stops, and never makes anybody wait for long.
void talks_on(skein::sender<int> out) {
  for (int i = 1;; ++i) {
    skein::sleep_for(5ms);
    out.send(i);
  }
}

int main() {
  return skein::run([] {
    skein::chan<int> words;
    skein::go(falls_silent, words);
    for (bool waiting = true; waiting;) {
      std::optional<int> v;
      switch (skein::select(recv(words, v), recv(skein::after(200ms)))) {  // a new limit each time
        case 0: std::printf("heard %d\n", *v); break;
        case 1:
          std::printf("nothing for 200 ms\n");
          waiting = false;
          break;
      }
    }

    skein::go(talks_on, words);
    const skein::receiver<skein::time_point> enough = skein::after(200ms);  // one limit for all
    int heard = 0;
    while (skein::select(recv(words), recv(enough)) == 0) ++heard;
    std::printf("heard %s, and 200 ms are over\n", heard > 1 ? "many" : "few");
  });
}
