// Pixels: the contract's resize, the way back to the picture's size, and masks. No file is touched here.
#pragma once

#include <cstdint>
#include <vector>

namespace skyedge {

// A picture: height_px x width_px pixels of three bytes, R, G, B, row by row, 0..255.
struct Image {
    int width_px = 0;
    int height_px = 0;
    std::vector<std::uint8_t> rgb;
};

// Probability of sky at every pixel, row by row, 0..1.
struct Probability {
    int width_px = 0;
    int height_px = 0;
    std::vector<float> values;
};

// round(255 p) at every pixel, row by row: 255 is sky.
struct Mask {
    int width_px = 0;
    int height_px = 0;
    std::vector<std::uint8_t> values;
};

// Stretches to width_px x height_px (each at least 1) exactly as Pillow's 8-bit BILINEAR does, which the contract calls
// "pillow_bilinear": triangle filter of support max(1, in/out), 22-bit fixed-point weights, horizontal pass first,
// rounded to 8 bits after each pass.
Image resize_pillow_bilinear(const Image& image, int width_px, int height_px);

// Brings probabilities to width_px x height_px: bilinear in float32, half-pixel centres, edges clamped.
Probability resize_probability(const Probability& probability, int width_px, int height_px);

// Returns round(255 p), ties to even.
Mask to_mask8(const Probability& probability);

}  // namespace skyedge
