// Finds regular files in byte order of their paths.
#pragma once

#include <functional>
#include <string>
#include <system_error>

namespace digest {

// walk() calls found(path, error) for each regular file below `directory`, and, with the reason,
// for each directory that cannot be read. It holds the names in the directories on the way to where
// it is, nothing else. Symbolic links are not followed, except `directory` itself.
void walk(const std::string& directory,
          const std::function<void(std::string path, std::error_code error)>& found);

}  // namespace digest
