// Operations on pixels: the contract's resize, resizing probabilities to the image's size, and 8-bit masks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "skyedge/frame.h"

namespace skyedge {

// An image: height_px x width_px pixels of three bytes, R, G, B, row by row, 0..255.
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
// rounded to 8 bits after each pass. SkySegmenter::segment does this itself.
Image resize_pillow_bilinear(const Image& image, int width_px, int height_px);

// Resizes probabilities to width_px x height_px: bilinear in float32, half-pixel centers, edges clamped. Keeps weights
// and memory for the next image of the same size.
class ProbabilityResizer {
public:
    void resize(const Probability& probability, int width_px, int height_px, Probability& out);
    // The same into the caller's memory, of at least one pixel. Float masks must be aligned for float.
    void resize(const Probability& probability, const MaskView& mask);

private:
    template <class RowOf, class Done>
    void each_row(const Probability& probability, int width_px, int height_px, const RowOf& row_of, const Done& done);

    // For every output pixel, the first of its two input neighbors and the weight of the second.
    struct Blends {
        int in_px = 0;
        int out_px = 0;
        std::vector<int> first;
        std::vector<float> share;

        void prepare(int in, int out);
    };

    Blends columns_;
    Blends rows_;
    std::vector<float> above_;
    std::vector<float> below_;
    std::vector<float> line_;
};

// Enlarges probabilities to an 8-bit mask, without a float for every pixel.
Mask enlarged(const Probability& probability, FrameSize size);

// Returns round(255 p), ties to even.
Mask to_mask8(const Probability& probability);

}  // namespace skyedge
