// SHA-256 (FIPS 180-4), to check an artifact's files before anything else reads them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace skyedge {

// Returns the digest of `size_bytes` bytes as 64 lower-case hex digits.
std::string sha256_hex(const std::uint8_t* data, std::size_t size_bytes);

}  // namespace skyedge
