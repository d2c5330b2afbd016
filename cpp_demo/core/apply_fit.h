// The last step of refinement: from the fit at the working size to a probability for every pixel of the picture.
#pragma once

#include <array>

#include "skyedge/image_ops.h"
#include "core/pyramid.h"

namespace skyedge {

// p = A . I + b at every pixel of the working size: A for R, G, B in 0..1, and b.
using Planes = std::array<Plane, 4>;

// Enlarges A and b by `factor` to the picture's size, bilinear, and writes clip(A . I + b, 0, 1) to `sky`.
void apply_fit(const Image& image, Planes planes, int factor, Probability& sky);

}  // namespace skyedge
