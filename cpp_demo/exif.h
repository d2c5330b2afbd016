// What a picture file says around its pixels: which way is up, and whether it is whole.
#pragma once

#include <cstdint>
#include <vector>

namespace skyedge {

// Returns the EXIF orientation, 1 (upright) to 8, of a JPEG, PNG or WebP file; 1 where it has none or a broken one.
int exif_orientation(const std::vector<std::uint8_t>& file);

// Returns whether the file is a JPEG whose pixels do not reach their end marker: decoders fill in grey without a word.
bool is_cut_jpeg(const std::vector<std::uint8_t>& file);

}  // namespace skyedge
