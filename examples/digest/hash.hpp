// Hashing files with OpenSSL, and the lines that are printed.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <openssl/evp.h>

#include "tally.hpp"

namespace digest {

// algorithm: a digest by the name OpenSSL knows it by. Shared by all hashers: looking it up takes a
// lock and longer than hashing a small file.
class algorithm {
 public:
  // Throws std::invalid_argument for a name that is unknown.
  explicit algorithm(const std::string& name);
  const EVP_MD* get() const noexcept { return md_.get(); }

 private:
  struct closer {
    void operator()(EVP_MD* md) const { EVP_MD_free(md); }
  };
  std::unique_ptr<EVP_MD, closer> md_;
};

// hasher: what one worker uses again for each file.
class hasher {
 public:
  hasher(const algorithm& a, tally& t);

  // hash() sets hex to the digest of a regular file.
  std::error_code hash(const std::string& path, std::string& hex);

 private:
  struct closer {
    void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); }
  };
  const algorithm& algorithm_;
  tally& tally_;
  std::unique_ptr<EVP_MD_CTX, closer> context_;
  std::vector<unsigned char> buffer_;
};

// digest_line() is sha256sum's line; a path with a backslash, newline or carriage return is escaped
// and the line marked by a backslash, as GNU coreutils does since 9.0.
std::string digest_line(const std::string& hex, const std::string& path);
// error_line() is the message for stderr.
std::string error_line(const std::string& path, std::error_code error);

}  // namespace digest
