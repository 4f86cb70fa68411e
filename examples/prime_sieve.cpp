// The concurrent prime sieve: each prime found adds a goroutine that filters out its multiples.
#include <cstdio>

#include "skein/skein.hpp"

void generate(skein::sender<int> out) {
  for (int i = 2;; ++i) out.send(i);
}

void filter(skein::receiver<int> in, skein::sender<int> out, int prime) {
  for (int i : in)
    if (i % prime != 0) out.send(i);
}

int main() {
  return skein::run([] {
    skein::chan<int> numbers;
    skein::go(generate, numbers);
    for (int i = 0; i < 20; ++i) {
      const int prime = *numbers.recv();
      std::printf("%d\n", prime);
      skein::chan<int> rest;
      skein::go(filter, numbers, rest, prime);
      numbers = rest;
    }
  });
}
