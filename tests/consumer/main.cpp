// The least program that needs the library itself and not its headers alone.
#include <skein/skein.hpp>

int main() {
  return skein::run([] {
    skein::chan<int> answers;
    skein::go([answers]() mutable { answers.send(42); });
    return answers.recv() == 42 ? 0 : 1;
  });
}
