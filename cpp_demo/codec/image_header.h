// What the headers of an image file tell: number of pixels, orientation, and whether the file is complete.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "skyedge/frame.h"

namespace skyedge {

// Returns the number of pixels that the header of a JPEG, PNG or WebP file claims; nothing for any other file.
// Decoders allocate memory by this number before they read pixels.
std::optional<std::uint64_t> pixel_count(const std::vector<std::uint8_t>& file);

// Returns the size of a JPEG in pixels, before its EXIF orientation; 0 x 0 for any other file.
FrameSize jpeg_size(const std::vector<std::uint8_t>& file);

// Returns the EXIF orientation, 1 (upright) to 8, of a JPEG, PNG or WebP file; 1 if there is none or it is broken.
int exif_orientation(const std::vector<std::uint8_t>& file);

// Returns whether the file is a JPEG without an end marker after its pixels; decoders fill the missing part with gray.
bool is_cut_jpeg(const std::vector<std::uint8_t>& file);

// Returns what is wrong with the chunks of a PNG: cut short, or a CRC that does not match. edge_runtime/images/resize.py
// refuses the same files. stb takes memory for a chunk before it looks, and neither it nor OpenCV checks every CRC.
// Nothing for any other file.
std::optional<std::string> png_damage(const std::vector<std::uint8_t>& file);

// Returns whether the file is a JPEG with a Huffman table of more than 256 codes. No encoder writes one, and stb (Debian's
// of 2022) writes past its table when it reads one.
bool has_wrong_huffman_table(const std::vector<std::uint8_t>& file);

}  // namespace skyedge
