// A tree of goroutines: the leaves number themselves, the sums come back through channels.
//
// Ten children to each node. The argument is the number of leaves, a power of ten: 100000 unless
// given, and a million is fine.
#include <cstdio>
#include <cstdlib>

#include "skein/skein.hpp"

void skynet(skein::sender<long> sum, long first, long leaves) {
  if (leaves <= 1) {
    sum.send(first);
    return;
  }
  skein::chan<long> parts;
  for (int child = 0; child < 10; ++child)
    skein::go(skynet, parts, first + child * (leaves / 10), leaves / 10);
  long total = 0;
  for (int child = 0; child < 10; ++child) total += *parts.recv();
  sum.send(total);
}

int main(int argc, char** argv) {
  const long leaves = argc > 1 ? std::atol(argv[1]) : 100'000;
  return skein::run([&] {
    skein::chan<long> sum;
    skein::go(skynet, sum, 0, leaves);
    std::printf("%ld\n", *sum.recv());
  });
}
