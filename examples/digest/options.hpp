// The command line.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace digest {

struct options {
  std::vector<std::string> directories;
  int jobs = 0;  // 0: as many as skein has processors
  std::string algorithm = "sha256";
};

struct bad_usage : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
struct help {
  std::string text;
};

// parse() throws bad_usage for what makes no sense, and help if it was asked for.
options parse(int argc, char** argv);

}  // namespace digest
