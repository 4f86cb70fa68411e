#include "hash.hpp"

#include <new>
#include <stdexcept>

#include <fcntl.h>

#include "skein/go.hpp"
#include "system.hpp"

namespace digest {
namespace {

constexpr std::size_t buffer_size = 128 * 1024;  // hashed while it is still in the L2 cache

void require(int ok) {
  if (ok != 1) throw std::runtime_error("OpenSSL cannot compute the digest");
}

std::string to_hex(const unsigned char* bytes, std::size_t n) {
  constexpr char digits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * n);
  for (std::size_t i = 0; i < n; ++i) {
    hex += digits[bytes[i] >> 4];
    hex += digits[bytes[i] & 15];
  }
  return hex;
}

// escaped() says in `changed` whether there was anything to escape.
std::string escaped(const std::string& path, bool& changed) {
  std::string out;
  out.reserve(path.size());
  for (const char c : path) {
    switch (c) {
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      default: out += c;
    }
  }
  changed = out.size() != path.size();
  return out;
}

}  // namespace

algorithm::algorithm(const std::string& name) : md_(EVP_MD_fetch(nullptr, name.c_str(), nullptr)) {
  unsigned char value[EVP_MAX_MD_SIZE];
  if (!md_ || EVP_Digest("", 0, value, nullptr, md_.get(), nullptr) != 1)
    throw std::invalid_argument("OpenSSL has no digest '" + name + "'");
}

hasher::hasher(const algorithm& a, tally& t)
    : algorithm_(a), tally_(t), context_(EVP_MD_CTX_new()), buffer_(buffer_size) {
  if (!context_) throw std::bad_alloc();
}

std::error_code hasher::hash(const std::string& path, std::string& hex) {
  std::error_code error;
  // O_NONBLOCK is for a file that has become a fifo since it was found.
  const descriptor fd = open_path(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, error);
  if (error) return error;
  require(EVP_DigestInit_ex2(context_.get(), algorithm_.get(), nullptr));
  // The reads are not made inside skein::blocking(): that costs a third of the throughput when the
  // file is in the page cache, and a disk that stalls is noticed by the monitor.
  for (;;) {
    const std::size_t n = read_some(fd.get(), buffer_.data(), buffer_.size(), error);
    if (error) return error;
    if (n == 0) break;
    require(EVP_DigestUpdate(context_.get(), buffer_.data(), n));
    tally_.bytes.fetch_add(n, std::memory_order_relaxed);
    // Walker and collector may wait behind this worker; to let them go first costs 10 ns here and
    // spares the monitor from taking the processor away.
    skein::yield();
  }
  unsigned char value[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  require(EVP_DigestFinal_ex(context_.get(), value, &size));
  hex = to_hex(value, size);
  return {};
}

std::string digest_line(const std::string& hex, const std::string& path) {
  bool changed = false;
  const std::string name = escaped(path, changed);
  return (changed ? "\\" : "") + hex + "  " + name + "\n";
}

std::string error_line(const std::string& path, std::error_code error) {
  bool changed = false;
  return "digest: " + escaped(path, changed) + ": " + error.message() + "\n";
}

}  // namespace digest
