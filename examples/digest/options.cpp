#include "options.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>

#include <getopt.h>
#include <sys/stat.h>

namespace digest {
namespace {

constexpr const char* usage =
    R"(usage: digest DIR… [--jobs N] [--algo NAME]
Prints the checksum of each regular file below each DIR, in byte order of the path, in the format
of sha256sum. Symbolic links are not followed, except a DIR that is one.
  --jobs N     N files at a time (default: one per processor)
  --algo NAME  any digest OpenSSL knows: sha256 (default), sha512, sha1, md5, …
Exit status: 0 all well, 1 something could not be read or written, 2 bad usage, 130 interrupted.
)";

constexpr int max_jobs = 1024;

int parse_jobs(const char* text) {
  int n = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, n);
  if (error != std::errc() || stop != end || n < 1 || n > max_jobs)
    throw bad_usage("--jobs takes a number from 1 to " + std::to_string(max_jobs) + ", not '" +
                    text + "'");
  return n;
}

void check_directory(const std::string& path) {
  struct stat st;
  if (::stat(path.c_str(), &st) != 0) throw bad_usage(path + ": " + std::strerror(errno));
  if (!S_ISDIR(st.st_mode)) throw bad_usage(path + ": " + std::strerror(ENOTDIR));
}

}  // namespace

options parse(int argc, char** argv) {
  const option known[] = {{"jobs", required_argument, nullptr, 'j'},
                          {"algo", required_argument, nullptr, 'a'},
                          {"help", no_argument, nullptr, 'h'},
                          {}};
  options o;
  opterr = 0;
  for (int c; (c = ::getopt_long(argc, argv, ":hj:a:", known, nullptr)) != -1;) {
    switch (c) {
      case 'j': o.jobs = parse_jobs(optarg); break;
      case 'a': o.algorithm = optarg; break;
      case 'h': throw help{usage};
      case ':': throw bad_usage(std::string(argv[optind - 1]) + " needs a value");
      default: throw bad_usage(std::string("unknown option ") + argv[optind - 1]);
    }
  }
  o.directories.assign(argv + optind, argv + argc);
  if (o.directories.empty()) throw bad_usage("no directory given; digest --help explains");
  for (const std::string& d : o.directories) check_directory(d);
  return o;
}

}  // namespace digest
