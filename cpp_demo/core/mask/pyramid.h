// The three scales of refinement: the image, the working image of factor x factor means, and the grid 2^m coarser.
// The same as edge_runtime/masks/pyramid.py.
#pragma once

#include <cstddef>
#include <vector>

#include "skyedge/image_ops.h"

namespace skyedge {

// height_px x width_px numbers, row by row.
struct Plane {
    int width_px = 0;
    int height_px = 0;
    std::vector<float> values;

    Plane() = default;
    Plane(int width, int height) : width_px(width), height_px(height), values(count()) {}

    std::size_t count() const { return static_cast<std::size_t>(width_px) * static_cast<std::size_t>(height_px); }
    float* row(int y) { return values.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width_px); }
    const float* row(int y) const {
        return values.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width_px);
    }
};

// Averages factor x factor pixels, rounded. Incomplete blocks at the right and lower border repeat the last pixel.
Image shrink(const Image& image, int factor);

// Brings the probability of an image of `width_px` x `height_px` to the working size: bilinear, half-pixel centers,
// edges clamped.
Plane to_working(const Probability& probability, int width_px, int height_px, int factor);

// Halves repeatedly, rounding up, with [1 3 3 1]/8 in both directions; beyond the border is 0.
Plane down(Plane plane, int halvings);

// Enlarges by 2^m in bilinear steps of 4, the inverse of `down`; several steps are smoother than one.
Plane up(Plane plane, int halvings, int width_px, int height_px);

// Enlarges a row by an integer factor to `width_px` numbers: bilinear, half-pixel centers, edges clamped.
class RowEnlarger {
public:
    RowEnlarger(int width_px, int factor, int wide_px);

    void operator()(const float* row, float* wide) const;

private:
    int width_px_;
    int factor_;
    int wide_px_;
    std::vector<float> shares_;  // of the right neighbor, for the pixels from one center to the next
};

// The position of a row of the enlarged plane between two rows of the small one.
struct Between {
    int upper = 0;
    int lower = 0;
    float share = 0.0F;  // weight of the lower row
};
Between between(int y, int factor, int height_px);

}  // namespace skyedge
