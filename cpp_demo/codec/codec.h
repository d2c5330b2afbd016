// The decoder and encoder: codec_opencv.cpp, or codec_stb.cpp for a static binary.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "skyedge/image_ops.h"
#include "skyedge/result.h"

namespace skyedge {

// A decoded image before orientation, alpha and bit depth are handled: rows without padding, samples of 8 or 16 bits in
// native byte order.
struct RawImage {
    int width_px = 0;
    int height_px = 0;
    int channels = 0;  // 1 gray, 2 gray and alpha, 3 color, 4 color and alpha
    bool blue_first = false;
    bool has_alpha = false;  // whether the last of 2 or 4 channels is alpha
    bool deep = false;       // 16 bits
    std::shared_ptr<const void> samples;
};

// The formats that `decode` reads, for messages.
extern const char* const kImageFormats;

// Decodes a file of one of these formats whose pixel_count() was checked; a JPEG at 1 / `shrink` of its size (1, 2, 4 or 8), where
// the library can. The error is a short reason.
Result<RawImage> decode(const std::vector<std::uint8_t>& file, int shrink);

// Returns the mask as an 8-bit, one-channel PNG, or nothing if the library fails. Masks have long runs of one value, so cheap
// compression makes the same size in half the time.
std::optional<std::vector<std::uint8_t>> encode_gray_png(const Mask& mask);

}  // namespace skyedge
