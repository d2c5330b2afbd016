// Reads image files and encodes masks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "skyedge/image_ops.h"
#include "skyedge/result.h"

namespace skyedge {

// Decodes an image for display: EXIF orientation applied, alpha blended over black, gray and palettes as RGB,
// 16-bit gray scaled by 257 with rounding, 16-bit color cut to its upper byte (the same as edge_runtime/images/resize.py).
Result<Image> read_rgb(const std::filesystem::path& path);

// The same for the bytes of a file; `name` is for messages.
Result<Image> decode_rgb(const std::vector<std::uint8_t>& file, const std::string& name);

// Returns the mask as the bytes of an 8-bit, one-channel PNG.
Result<std::vector<std::uint8_t>> encode_png(const Mask& mask);

}  // namespace skyedge
