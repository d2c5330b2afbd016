// Whole files in, whole files out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "skyedge/result.h"

namespace skyedge {

// Reads all bytes of a regular file.
Result<std::vector<std::uint8_t>> read_file(const std::filesystem::path& path);

// Writes `bytes` to `path`, or leaves everything as it was: a temporary sibling, fsync, rename.
Failure write_file(const std::filesystem::path& path, const std::vector<std::uint8_t>& bytes);

}  // namespace skyedge
