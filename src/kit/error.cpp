#include "skein/error.hpp"

#include <string>

namespace skein::inline SKEIN_ABI {
namespace {

class category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "skein"; }
  std::string message(int e) const override {
    switch (static_cast<errc>(e)) {
      case errc::canceled: return "context canceled";
      case errc::deadline_exceeded: return "context deadline exceeded";
      case errc::closed: return "closed";
    }
    return "unknown error";
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const category c;
  return c;
}

}  // namespace skein::inline SKEIN_ABI
