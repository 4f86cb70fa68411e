// Runs examples/digest on trees made for it; what it should print comes from the system's tools.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#ifndef SKEIN_DIGEST_PATH
#define SKEIN_DIGEST_PATH ""
#endif

namespace {

using namespace std::chrono_literals;

void check(bool ok, const char* what) {
  if (!ok) throw std::system_error(errno, std::system_category(), what);
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

// How a program ended: its exit status, or 1000 + the signal that killed it. One that has not ended
// after two minutes is killed.
int wait_for(pid_t child) {
  int status = 0;
  for (int i = 0; i < 12'000; ++i) {
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    check(ended >= 0, "waitpid");
    if (ended == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    std::this_thread::sleep_for(10ms);
  }
  ::kill(child, SIGKILL);
  check(::waitpid(child, &status, 0) == child, "waitpid");
  return 1000 + SIGKILL;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

struct result {
  int status;
  std::string out, err;
};

class Digest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string(SKEIN_DIGEST_PATH).empty()) GTEST_SKIP() << "examples/digest is not built";
    char name[] = "/tmp/skein_digest_XXXXXX";
    check(::mkdtemp(name) != nullptr, "mkdtemp");
    place_ = name;
    check(::chmod(name, 0755) == 0, "chmod");
    root_ = place_ + "/tree";
    directory("");
  }
  void TearDown() override {
    if (place_.empty()) return;
    EXPECT_EQ(std::system(("rm -rf " + place_).c_str()), 0);
  }

  std::string path(const std::string& name) const { return root_ + "/" + name; }
  void directory(const std::string& name) const {
    check(::mkdir(path(name).c_str(), 0755) == 0, "mkdir");
  }
  void file(const std::string& name, const std::string& bytes = "") const {
    std::ofstream out(path(name), std::ios::binary);
    out << bytes;
    check(out.good(), "cannot write a file");
  }
  void files(int n) const {
    for (int i = 0; i < n; ++i) file("file_" + std::to_string(i), std::to_string(i));
  }
  // A file that takes a while to hash and no room on the disk.
  void large_file(const std::string& name, off_t size) const {
    file(name);
    check(::truncate(path(name).c_str(), size) == 0, "truncate");
  }

  using arguments = std::vector<std::string>;

  // start() runs digest with the given stdout and stderr; -1 closes one. `prepare` is called in the
  // child before.
  pid_t start(const arguments& args, int out, int err, const std::function<void()>& prepare = {}) {
    const int program = ::open(SKEIN_DIGEST_PATH, O_RDONLY);
    check(program >= 0, SKEIN_DIGEST_PATH);
    const pid_t child = ::fork();
    check(child >= 0, "fork");
    if (child == 0) {
      std::vector<char*> argv{const_cast<char*>("digest")};
      for (const std::string& a : args) argv.push_back(const_cast<char*>(a.c_str()));
      argv.push_back(nullptr);
      out < 0 ? ::close(1) : ::dup2(out, 1);
      err < 0 ? ::close(2) : ::dup2(err, 2);
      if (prepare) prepare();
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a digest that hangs goes with the test
      ::fexecve(program, argv.data(), environ);
      ::_exit(127);
    }
    ::close(program);
    return child;
  }

  result run(const arguments& args, const std::function<void()>& prepare = {}) {
    const std::string out_path = place_ + "/out", err_path = place_ + "/err";
    const int out = ::open(out_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const int err = ::open(err_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    check(out >= 0 && err >= 0, "cannot write the output");
    const int status = wait_for(start(args, out, err, prepare));
    ::close(out);
    ::close(err);
    return {status, contents(out_path), contents(err_path)};
  }

  // expected() is what `tool` prints for the files below `directory`, in byte order of the paths.
  std::string expected(const std::string& directory, const std::string& tool = "sha256sum",
                       const std::string& from = "/") {
    const std::string out = place_ + "/expected";
    const std::string command = "cd '" + from + "' && find '" + directory +
                                "' -type f -print0 | LC_ALL=C sort -z | xargs -0r " + tool + " >" +
                                out;
    check(std::system(command.c_str()) == 0, command.c_str());
    return contents(out);
  }

  std::string place_, root_;
};

TEST_F(Digest, OddNamesAndSizes) {
  for (const char* name :
       {"plain", "with space", " leading", "-n", "--", "*", "'\"$(x)`", "tab\there", "new\nline",
        "\n", "back\\slash", "\\", "carriage\rreturn", "all\\\n\r", "\x01\x7f",
        "\xff\xfe not utf-8", "\xc3\xa9t\xc3\xa9", "..."})
    file(name, name);
  for (const int size : {0, 1, 63, 64, 4096, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 1'000'000})
    file("size " + std::to_string(size), std::string(size, 'x'));
  directory("dir\\with\nescapes");
  file("dir\\with\nescapes/file");
  const result r = run({root_});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, expected(root_));
}

TEST_F(Digest, OrderIsThatOfWholePaths) {
  for (const char* name : {"a", "a-", "a.", "a0", "ab", "aa", "B", "b", "b-", "foo", "foo/a"})
    directory(name);
  for (const char* name :
       {"a/b",     "a-b",  "a.b",  "a-/x",    "a./x",    "a0/x",    "ab/x",    "aa/x",
        "B/x",     "b/z",  "b-/a", "foo-bar", "foo.bar", "foo/bar", "foo/a/x", "foo/a-x",
        "foo/a.x", "foo0", "fo",   "fooo",    "\xff",    "~"})
    file(name);
  const result r = run({root_});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, expected(root_));
}

TEST_F(Digest, OnlyRegularFiles) {
  file("file", "content");
  directory("empty");
  directory("sub");
  file("sub/file");
  for (const auto& [to, from] : {std::pair{"file", "link_to_file"},
                                 {"sub", "link_to_directory"},
                                 {"..", "sub/link_to_parent"},
                                 {"loop", "loop"},
                                 {"gone", "dangling"}})
    check(::symlink(to, path(from).c_str()) == 0, "symlink");
  check(::mkfifo(path("fifo").c_str(), 0644) == 0, "mkfifo");
  sockaddr_un address{AF_UNIX, {}};
  std::strncpy(address.sun_path, path("socket").c_str(), sizeof address.sun_path - 1);
  const int s = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(::bind(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "bind");
  ::close(s);

  const result r = run({root_});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, expected(root_));
  EXPECT_EQ(lines_of(r.out).size(), 2u);
}

TEST_F(Digest, PathsBeginAsTheArgumentDoes) {
  directory("sub");
  file("sub/x");
  file("y");
  EXPECT_EQ(run({root_ + "/"}).out, expected(root_ + "/"));
  const auto in_root = [this] { check(::chdir(root_.c_str()) == 0, "chdir"); };
  for (const char* argument : {".", "./", "sub", "./sub", "../tree"})
    EXPECT_EQ(run({argument}, in_root).out, expected(argument, "sha256sum", root_)) << argument;
}

TEST_F(Digest, AnArgumentMayBeALink) {
  file("x");
  check(::symlink("tree", (place_ + "/link").c_str()) == 0, "symlink");
  EXPECT_EQ(run({place_ + "/link"}).out, expected(place_ + "/link/"));
}

TEST_F(Digest, SeveralDirectoriesInTheGivenOrder) {
  for (const char* name : {"b", "a", "c"}) {
    directory(name);
    file(std::string(name) + "/file", name);
  }
  const result r = run({path("b"), path("c"), path("a"), path("b")});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out,
            expected(path("b")) + expected(path("c")) + expected(path("a")) + expected(path("b")));
}

TEST_F(Digest, EmptyDirectory) {
  const result r = run({root_});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out, "");
}

TEST_F(Digest, Algorithms) {
  file("empty");
  file("abc", "abc");
  for (const auto& [name, tool] : {std::pair{"md5", "md5sum"},
                                   {"sha1", "sha1sum"},
                                   {"sha512", "sha512sum"},
                                   {"SHA256", "sha256sum"}}) {
    const result r = run({"--algo", name, root_});
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out, expected(root_, tool));
  }
}

// The first file is the last to be ready, and more follow than the window holds.
TEST_F(Digest, MoreFilesThanTheWindowBehindASlowOne) {
  files(3000);
  large_file("a_slow_one", 64 << 20);
  const std::string all = expected(root_);
  for (const char* jobs : {"1", "2", "8"}) {
    const result r = run({root_, "--jobs", jobs});
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_TRUE(r.out == all) << "with --jobs " << jobs;
  }
}

TEST_F(Digest, DeepTree) {
  std::string name = root_;
  int at = ::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int depth = 0; depth < 3000; ++depth) {
    check(::mkdirat(at, "d", 0755) == 0, "mkdirat");
    const int next = ::openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(next >= 0, "openat");
    ::close(at);
    at = next;
    name += "/d";
  }
  const int bottom = ::openat(at, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  check(bottom >= 0 && ::write(bottom, "deep", 4) == 4, "openat");
  ::close(bottom);
  ::close(at);

  const result r = run({root_});
  EXPECT_EQ(r.status, 0) << r.err.substr(0, 200);
  std::ofstream(place_ + "/same") << "deep";
  EXPECT_EQ(r.out, expected(place_ + "/same").substr(0, 64) + "  " + name + "/file\n");
}

TEST_F(Digest, UnreadableOnesAreReportedAndTheRestGoesOn) {
  file("a", "a");
  file("closed\nfile", "x");
  directory("closed");
  file("closed/inside");
  file("z", "z");
  const std::string all = expected(root_);
  check(::chmod(path("closed").c_str(), 0) == 0, "chmod");
  check(::chmod(path("closed\nfile").c_str(), 0) == 0, "chmod");
  // Root may read anything, nobody may not.
  const result r = run({root_}, [] {
    if (::geteuid() == 0) check(::setgid(65534) == 0 && ::setuid(65534) == 0, "setuid");
  });
  check(::chmod(path("closed").c_str(), 0755) == 0, "chmod");

  EXPECT_EQ(r.status, 1);
  const std::vector<std::string> of_all = lines_of(all);
  EXPECT_EQ(r.out, of_all.front() + "\n" + of_all.back() + "\n");
  const std::vector<std::string> errors = lines_of(r.err);
  ASSERT_GE(errors.size(), 2u) << r.err;
  EXPECT_EQ(errors[0], "digest: " + path("closed\\nfile") + ": Permission denied");
  EXPECT_EQ(errors[1], "digest: " + path("closed") + ": Permission denied");
}

TEST_F(Digest, BadUsage) {
  file("file");
  const std::vector<arguments> bad = {{},
                                      {"--jobs", "2"},
                                      {path("missing")},
                                      {root_, path("missing")},
                                      {path("file")},
                                      {""},
                                      {root_, "--jobs"},
                                      {root_, "--jobs", "0"},
                                      {root_, "--jobs", "-1"},
                                      {root_, "--jobs", "two"},
                                      {root_, "--jobs", "2x"},
                                      {root_, "--jobs", ""},
                                      {root_, "--jobs", "99999999999999999999"},
                                      {root_, "--algo"},
                                      {root_, "--algo", "sha257"},
                                      {root_, "--algo", ""},
                                      {root_, "--nonsense"},
                                      {root_, "-x"}};
  for (const arguments& args : bad) {
    const result r = run(args);
    std::string shown;
    for (const std::string& a : args) shown += "'" + a + "' ";
    EXPECT_EQ(r.status, 2) << shown;
    EXPECT_EQ(r.out, "") << shown;
    EXPECT_EQ(r.err.substr(0, 8), "digest: ") << shown;
    EXPECT_EQ(lines_of(r.err).size(), 1u) << shown << r.err;
  }
}

TEST_F(Digest, Help) {
  const result r = run({"--help"});
  EXPECT_EQ(r.status, 0);
  EXPECT_NE(r.out.find("--algo"), std::string::npos);
  EXPECT_EQ(r.err, "");
}

TEST_F(Digest, SummaryOnStderrAndNoProgressOffATerminal) {
  files(10);
  large_file("large", 300'000'000);
  const result r = run({root_});
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(r.err.rfind("digest: 11 files, 300000010 bytes in ", 0), 0u) << r.err;
  for (const char* counter : {" MB/s", " goroutines", " steals", " parks"})
    EXPECT_NE(r.err.find(counter), std::string::npos) << r.err;
  EXPECT_EQ(lines_of(r.err).size(), 1u) << r.err;
  EXPECT_EQ(r.err.find_first_of("\r\033"), std::string::npos);
}

TEST_F(Digest, ProgressOnATerminalIsErased) {
  file("a", "a");
  large_file("large", 500'000'000);
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  check(master >= 0 && ::grantpt(master) == 0 && ::unlockpt(master) == 0, "no pseudo-terminal");
  const int terminal = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  check(terminal >= 0, "no pseudo-terminal");
  const std::string out_path = place_ + "/out";
  const int out = ::open(out_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  const pid_t child = start({root_}, out, terminal);
  ::close(out);
  ::close(terminal);
  std::string shown;
  char buffer[4096];
  for (ssize_t n; (n = ::read(master, buffer, sizeof buffer)) > 0;) shown.append(buffer, n);
  ::close(master);
  EXPECT_EQ(wait_for(child), 0) << shown;

  EXPECT_EQ(contents(out_path), expected(root_));
  const std::string erase = "\r\033[K";
  const std::size_t drawn = shown.find(erase + "1 files");
  ASSERT_NE(drawn, std::string::npos) << shown;
  EXPECT_NE(shown.find(" MB/s", drawn), std::string::npos);
  EXPECT_NE(shown.find("ETA ", drawn), std::string::npos) << shown;
  const std::size_t last = shown.rfind(erase);
  EXPECT_EQ(shown.substr(last + erase.size(), 17), "digest: 2 files, ") << shown;
}

// interrupt() sends a signal once a line has come out, and checks what became of it.
class DigestInterrupted : public Digest {
 protected:
  void interrupt(int signal, bool keep_reading) {
    int out[2];
    check(::pipe2(out, O_CLOEXEC) == 0, "pipe");
    const std::string err_path = place_ + "/err";
    const int err = ::open(err_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    const pid_t child = start({root_}, out[1], err);
    ::close(out[1]);
    ::close(err);
    pollfd first{out[0], POLLIN, 0};
    ASSERT_EQ(::poll(&first, 1, 60'000), 1);
    std::string got;
    char buffer[65536];
    if (keep_reading) {
      const ssize_t n = ::read(out[0], buffer, sizeof buffer);
      ASSERT_GT(n, 0);
      got.append(buffer, n);
    } else {
      std::this_thread::sleep_for(300ms);  // the pipe fills and digest waits for room
    }
    const auto sent = std::chrono::steady_clock::now();
    check(::kill(child, signal) == 0, "kill");
    EXPECT_EQ(wait_for(child), 128 + signal);
    EXPECT_LT(std::chrono::steady_clock::now() - sent, 5s);
    for (ssize_t n; (n = ::read(out[0], buffer, sizeof buffer)) > 0;) got.append(buffer, n);
    ::close(out[0]);
    EXPECT_EQ(contents(err_path), "digest: interrupted\n");
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(got.back(), '\n');
    for (const std::string& line : lines_of(got)) {
      ASSERT_GT(line.size(), 66u) << line;
      EXPECT_EQ(line.find_first_not_of("0123456789abcdef"), 64u) << line;
      EXPECT_EQ(::access(line.c_str() + 66, F_OK), 0) << line;
    }
  }
};

// covers: L3
TEST_F(DigestInterrupted, WhileItReadsALargeFile) {
  file("a");
  large_file("b", off_t{1} << 40);
  interrupt(SIGINT, true);
}

TEST_F(DigestInterrupted, WhileNobodyReadsItsOutput) {
  files(3000);
  interrupt(SIGINT, false);
}

TEST_F(DigestInterrupted, BySigterm) {
  file("a");
  large_file("b", off_t{1} << 40);
  interrupt(SIGTERM, true);
}

class DigestStdout : public Digest {
 protected:
  void expect_failure(int out, const std::string& why) {
    files(3000);
    const std::string err_path = place_ + "/err";
    const int err = ::open(err_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    EXPECT_EQ(wait_for(start({root_}, out, err)), 1);
    ::close(err);
    EXPECT_EQ(contents(err_path), "digest: stdout: " + why + "\n");
  }
};

TEST_F(DigestStdout, BrokenPipe) {
  int out[2];
  check(::pipe2(out, O_CLOEXEC) == 0, "pipe");
  ::close(out[0]);
  expect_failure(out[1], "Broken pipe");
  ::close(out[1]);
}

TEST_F(DigestStdout, FullDisk) {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  check(full >= 0, "/dev/full");
  expect_failure(full, "No space left on device");
  ::close(full);
}

TEST_F(DigestStdout, Closed) { expect_failure(-1, "Bad file descriptor"); }

}  // namespace
