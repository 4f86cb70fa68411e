// The order of whole paths is kept by comparing a directory as what its descendants' paths begin
// with: "foo-bar" < "foo/x" because '-' < '/', though "foo" < "foo-bar".
#include "walk.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "system.hpp"

namespace digest {
namespace {

struct dir_closer {
  void operator()(DIR* d) const { ::closedir(d); }
};

enum class kind { file, directory, other };

kind kind_of(DIR* d, const dirent& e) {
  switch (e.d_type) {
    case DT_REG: return kind::file;
    case DT_DIR: return kind::directory;
    case DT_UNKNOWN: break;
    default: return kind::other;
  }
  struct stat st;
  if (::fstatat(::dirfd(d), e.d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
    return kind::file;  // whoever opens it will say what is wrong
  return S_ISREG(st.st_mode) ? kind::file : S_ISDIR(st.st_mode) ? kind::directory : kind::other;
}

// without_slash() is the path of a directory as messages show it and open() wants it: a '/' at the
// end would make it follow a symbolic link.
std::string without_slash(const std::string& path) {
  return path.substr(0, std::max<std::size_t>(path.find_last_not_of('/') + 1, 1));
}

// listing: the names in one directory in order, those of directories with a '/' at the end, and how
// far the walk has come. One string holds them all: a million names must not be a million strings.
class listing {
 public:
  // read() keeps what it could read before an error.
  [[gnu::noinline]] std::error_code read(const std::string& path, int open_flags) {
    std::error_code error;
    descriptor fd = open_path(path, O_RDONLY | O_DIRECTORY | open_flags, error);
    if (error) return error;
    const std::unique_ptr<DIR, dir_closer> d(::fdopendir(fd.get()));
    if (!d) return {errno, std::system_category()};
    fd.release();
    errno = 0;
    while (const dirent* e = ::readdir(d.get())) {
      add(d.get(), *e);
      errno = 0;
    }
    error.assign(errno, std::system_category());
    std::sort(offsets_.begin(), offsets_.end(),
              [this](std::size_t a, std::size_t b) { return std::strcmp(at(a), at(b)) < 0; });
    return error;
  }

  // next() is the next name, or null at the end.
  const char* next() { return next_ < offsets_.size() ? at(offsets_[next_++]) : nullptr; }

 private:
  void add(DIR* d, const dirent& e) {
    if (std::strcmp(e.d_name, ".") == 0 || std::strcmp(e.d_name, "..") == 0) return;
    const kind k = kind_of(d, e);
    if (k == kind::other) return;
    offsets_.push_back(names_.size());
    names_.append(e.d_name).append(k == kind::directory ? "/" : "").push_back('\0');
  }
  const char* at(std::size_t offset) const { return names_.data() + offset; }

  std::string names_;
  std::vector<std::size_t> offsets_;
  std::size_t next_ = 0;
};

}  // namespace

void walk(const std::string& directory,
          const std::function<void(std::string path, std::error_code error)>& found) {
  struct level {
    listing entries;
    std::size_t path_length;
  };
  std::vector<level> levels;
  std::string path = directory;
  if (path.back() != '/') path.push_back('/');

  const auto enter = [&](int open_flags) {
    listing entries;
    const std::string shown = without_slash(path);
    if (const std::error_code error = entries.read(shown, open_flags)) found(shown, error);
    levels.push_back({std::move(entries), path.size()});
  };
  enter(0);
  while (!levels.empty()) {
    const char* name = levels.back().entries.next();
    if (name == nullptr) {
      levels.pop_back();
      continue;
    }
    path.resize(levels.back().path_length);
    path += name;
    if (path.back() == '/')
      enter(O_NOFOLLOW);
    else
      found(path, {});
  }
}

}  // namespace digest
