// The smallest program: one goroutine says hello, main waits for it.
#include <cstdio>

#include "skein/skein.hpp"

int main() {
  return skein::run([] {
    skein::chan<skein::unit> done;
    skein::go([done] {
      std::puts("hello from a goroutine");
      done.close();
    });
    done.recv();  // when main returns, the program ends, whoever else still runs
  });
}
