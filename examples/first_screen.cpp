// Ask three mirrors at once, take the first answer, and do not wait for ever.
#include <chrono>
#include <cstdio>
#include <string>

#include "skein/skein.hpp"

using namespace std::chrono_literals;

int main() {
  return skein::run([] {
    skein::chan<std::string> answers(3);
    skein::wait_group asked;
    for (int mirror : {3, 1, 2})
      asked.go([=] {
        skein::sleep_for(mirror * 50ms);  // the network
        answers.send("mirror " + std::to_string(mirror));
      });

    std::optional<std::string> first;
    switch (skein::select(recv(answers, first), recv(skein::after(1s)))) {
      case 0: std::printf("%s was first\n", first->c_str()); break;
      case 1: std::printf("nobody answered in time\n"); break;
    }

    asked.wait();
    answers.close();
    for (const std::string& late : answers) std::printf("%s was late\n", late.c_str());
  });
}
