// The last step of refinement: the fit at the working size becomes a probability for every pixel of the image.
#pragma once

#include <array>

#include "skyedge/image_ops.h"
#include "core/mask/pyramid.h"

namespace skyedge {

// p = A . I + b at every pixel of the working size: A for R, G, B in 0..1, and b.
using Planes = std::array<Plane, 4>;

// Enlarges A and b by `factor` to the image's size, bilinear, and writes clip(A . I + b, 0, 1) to `sky`.
void apply_fit(const Image& image, Planes planes, int factor, Probability& sky);

}  // namespace skyedge
