// The library that decodes and encodes: codec_opencv.cpp, or codec_stb.cpp where one static binary is wanted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "skyedge/image_ops.h"
#include "skyedge/result.h"

namespace skyedge {

// A picture as its file holds it: rows without gaps, of samples of 8 or 16 bits in the machine's byte order.
struct RawPicture {
    int width_px = 0;
    int height_px = 0;
    int channels = 0;  // 1 grey, 2 grey and alpha, 3 color, 4 color and alpha
    bool blue_first = false;
    bool has_alpha = false;  // whether the last of 2 or 4 channels counts
    bool deep = false;       // 16 bits
    std::shared_ptr<const void> samples;
};

// What `decode` reads, for messages.
extern const char* const kImageFormats;

// `file` is of one of these formats and was asked by pixel_count() how large it is. The error says in a few words why
// it is no picture.
Result<RawPicture> decode(const std::vector<std::uint8_t>& file);

// The mask as an 8-bit, one-channel PNG, or nothing where the library fails.
std::optional<std::vector<std::uint8_t>> encode_grey_png(const Mask& mask);

}  // namespace skyedge
