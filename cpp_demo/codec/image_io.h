// Reads image files and encodes masks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "skyedge/image_ops.h"
#include "skyedge/result.h"

namespace skyedge {

// An image that may be smaller than its file says.
struct Photo {
    Image image;
    FrameSize full;  // of the file, after EXIF orientation
};

// Decodes the bytes of a file for display: EXIF orientation applied, alpha blended over black, gray and palettes as RGB,
// 16-bit gray scaled by 257 with rounding, 16-bit color cut to its upper byte (the same as edge_runtime/images/formats.py).
// A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where both sides keep `least_px` pixels; 0: always whole. `name` is for
// messages.
Result<Photo> decode_photo(const std::vector<std::uint8_t>& file, const std::string& name, int least_px);

// A network loses nothing that matters while both sides keep so many times its input.
constexpr int kPhotoDetail = 2;

// The same for a file, for a whole image, and for one in a file.
Result<Photo> read_photo(const std::filesystem::path& path, int least_px);
Result<Image> decode_rgb(const std::vector<std::uint8_t>& file, const std::string& name);
Result<Image> read_rgb(const std::filesystem::path& path);

// Returns the mask as the bytes of an 8-bit, one-channel PNG.
Result<std::vector<std::uint8_t>> encode_png(const Mask& mask);

}  // namespace skyedge
