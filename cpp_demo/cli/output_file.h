// Writes whole files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "skyedge/result.h"

namespace skyedge {

// Writes `bytes` to `path` atomically: a temporary file beside it, fsync, rename. After a failure nothing has changed.
Failure write_file(const std::filesystem::path& path, const std::vector<std::uint8_t>& bytes);

}  // namespace skyedge
