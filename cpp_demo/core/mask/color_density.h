// Density of a set of pixels at every color. The same as edge_runtime/masks/color_density.py.
#pragma once

#include <cstdint>
#include <vector>

namespace skyedge {

// Colors are rounded to bins of 4 levels, 64 a channel.
constexpr int kColorBins = 64;

// The bin of a pixel R, G, B.
inline std::size_t color_bin(const std::uint8_t* rgb) {
    return (std::size_t{rgb[0]} / 4 * kColorBins + std::size_t{rgb[1]} / 4) * kColorBins + std::size_t{rgb[2]} / 4;
}

// Returns for every bin the mean over all samples of exp(-|distance|^2 / (2 sigma^2)), white = 1. `counts` says how
// many of the `samples` lie in each bin.
std::vector<float> color_density(const std::vector<std::uint32_t>& counts, std::size_t samples, float sigma);

}  // namespace skyedge
