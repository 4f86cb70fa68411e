// examples/digest on a pool of std::thread: the yardstick for its throughput.
//
//   threads_digest DIR [JOBS]       JOBS is 2 unless given
#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;

// queue: bounded; pop() gives nothing once it is closed and empty.
template <class T> class queue {
 public:
  explicit queue(std::size_t capacity) : capacity_(capacity) {}

  void push(T v) {
    std::unique_lock lock(m_);
    not_full_.wait(lock, [&] { return items_.size() < capacity_; });
    items_.push_back(std::move(v));
    lock.unlock();
    not_empty_.notify_one();
  }
  std::optional<T> pop() {
    std::unique_lock lock(m_);
    not_empty_.wait(lock, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) return {};
    T v = std::move(items_.front());
    items_.pop_front();
    lock.unlock();
    not_full_.notify_one();
    return v;
  }
  void close() {
    std::lock_guard lock(m_);
    closed_ = true;
    not_empty_.notify_all();
  }

 private:
  const std::size_t capacity_;
  std::mutex m_;
  std::condition_variable not_full_, not_empty_;
  std::deque<T> items_;
  bool closed_ = false;
};

struct file {
  std::uint64_t index;
  std::string path;
};
struct outcome {
  std::uint64_t index;
  std::string line;
};

constexpr std::size_t window_size = 1024;
queue<file> files(64);
queue<outcome> outcomes(64);
queue<int> window(window_size);

void walk(const std::string& directory, std::uint64_t& index) {
  std::vector<std::string> names;
  for (const fs::directory_entry& e : fs::directory_iterator(directory)) {
    const fs::file_type type = e.symlink_status().type();
    if (type == fs::file_type::regular) names.push_back(e.path().filename());
    if (type == fs::file_type::directory) names.push_back(e.path().filename().string() + "/");
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    if (name.back() == '/') {
      walk(directory + name, index);
    } else {
      window.push(0);
      files.push({index++, directory + name});
    }
  }
}

void hash_files(const EVP_MD* md) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                   &EVP_MD_CTX_free);
  std::vector<unsigned char> buffer(128 * 1024);
  while (const std::optional<file> f = files.pop()) {
    const int fd = ::open(f->path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) throw std::runtime_error(f->path + ": " + std::strerror(errno));
    EVP_DigestInit_ex2(context.get(), md, nullptr);
    ssize_t n;
    while ((n = ::read(fd, buffer.data(), buffer.size())) > 0)
      EVP_DigestUpdate(context.get(), buffer.data(), static_cast<std::size_t>(n));
    ::close(fd);
    if (n < 0) throw std::runtime_error(f->path + ": cannot be read");
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(context.get(), value, &size);
    std::string line;
    for (unsigned i = 0; i < size; ++i) {
      line += "0123456789abcdef"[value[i] >> 4];
      line += "0123456789abcdef"[value[i] & 15];
    }
    outcomes.push({f->index, line + "  " + f->path + "\n"});
  }
}

void print_in_order() {
  std::vector<std::string> arrived(window_size);
  std::uint64_t next = 0;
  while (std::optional<outcome> o = outcomes.pop()) {
    arrived[o->index % window_size] = std::move(o->line);
    for (std::string* line; !(line = &arrived[next % window_size])->empty(); ++next) {
      std::fwrite(line->data(), 1, line->size(), stdout);
      line->clear();
      window.pop();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: threads_digest DIR [JOBS]\n");
    return 2;
  }
  const int jobs = argc > 2 ? std::max(1, std::atoi(argv[2])) : 2;
  EVP_MD* md = EVP_MD_fetch(nullptr, "sha256", nullptr);
  std::thread walker([&] {
    std::uint64_t index = 0;
    walk(argv[1] + std::string(std::strchr(argv[1], '\0')[-1] == '/' ? "" : "/"), index);
    files.close();
  });
  std::thread printer(print_in_order);
  std::vector<std::thread> workers;
  for (int i = 0; i < jobs; ++i) workers.emplace_back(hash_files, md);
  walker.join();
  for (std::thread& w : workers) w.join();
  outcomes.close();
  printer.join();
  EVP_MD_free(md);
}
