// What a picture file says around its pixels: how many there are, which way is up, and whether it is whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace skyedge {

// Returns how many pixels the head of a JPEG, PNG, WebP, BMP or TIFF file speaks of; nothing for any other file.
// Decoders take memory for them before they look whether they are there.
std::optional<std::uint64_t> pixel_count(const std::vector<std::uint8_t>& file);

// Returns the EXIF orientation, 1 (upright) to 8, of a JPEG, PNG or WebP file; 1 where it has none or a broken one.
int exif_orientation(const std::vector<std::uint8_t>& file);

// Returns whether the file is a JPEG whose pixels do not reach their end marker: decoders fill in grey without a word.
bool is_cut_jpeg(const std::vector<std::uint8_t>& file);

// Returns what is wrong with the chunks of a PNG: cut short, or a CRC that does not match, up to the pixels. stb takes
// memory for a chunk before it looks, and neither it nor OpenCV minds the CRCs. Nothing for any other file.
std::optional<std::string> png_damage(const std::vector<std::uint8_t>& file);

// Returns whether the file is a JPEG with a Huffman table of more than 256 codes, which no encoder makes and at which
// stb (Debian's of 2022) writes past its own table.
bool has_wrong_huffman_table(const std::vector<std::uint8_t>& file);

}  // namespace skyedge
