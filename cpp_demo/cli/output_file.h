// Whole files out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "skyedge/result.h"

namespace skyedge {

// Writes `bytes` to `path`, or leaves everything as it was: a temporary sibling, fsync, rename.
Failure write_file(const std::filesystem::path& path, const std::vector<std::uint8_t>& bytes);

}  // namespace skyedge
