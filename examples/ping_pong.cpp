// Two goroutines hand a ball back and forth; closing a channel ends the game.
#include <cstdio>

#include "skein/skein.hpp"

void player(const char* name, skein::chan<int> in, skein::chan<int> out) {
  for (int hits : in) {
    std::printf("%s %d\n", name, hits);
    if (hits == 6) break;
    out.send(hits + 1);
  }
  out.close();
}

int main() {
  return skein::run([] {
    skein::chan<int> to_ping, to_pong;
    skein::wait_group game;
    game.go([=] { player("ping", to_ping, to_pong); });
    game.go([=] { player("pong", to_pong, to_ping); });
    to_ping.send(1);
    game.wait();
  });
}
