// Reads whole files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "skyedge/result.h"

namespace skyedge {

constexpr std::uint64_t kMostFileBytes = std::uint64_t{1} << 31U;

// Reads all bytes of a regular file; one larger than `most_bytes` is refused before memory is taken.
Result<std::vector<std::uint8_t>> read_file(const std::filesystem::path& path,
                                            std::uint64_t most_bytes = kMostFileBytes);

}  // namespace skyedge
