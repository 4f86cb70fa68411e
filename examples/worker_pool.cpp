// A worker pool: three goroutines share a channel of jobs; closing it sends them home.
#include <cstdio>

#include "skein/skein.hpp"

struct job {
  int n;
};
struct result {
  int n;
  long square;
};

void work(skein::receiver<job> jobs, skein::sender<result> results) {
  for (job j : jobs) results.send({j.n, static_cast<long>(j.n) * j.n});
}

int main() {
  return skein::run([] {
    skein::chan<job> jobs;
    skein::chan<result> results;

    skein::wait_group workers;
    for (int i = 0; i < 3; ++i) workers.go([=] { work(jobs, results); });
    skein::go([&] {
      for (int n = 1; n <= 100; ++n) jobs.send({n});
      jobs.close();
      workers.wait();
      results.close();
    });

    int count = 0;
    long sum = 0;
    for (result r : results) {
      ++count;
      sum += r.square;
    }
    std::printf("%d results, sum of squares %ld\n", count, sum);
  });
}
