// Aligns a low-resolution probability of sky with the edges of its image: weighted guided upsampling with density estimation
// (Liba et al. 2020, arXiv 2006.10172). The same as the method `weighted` of edge_runtime/masks/refine.py with its defaults,
// which documents the differences from the paper.
#pragma once

#include "skyedge/image_ops.h"
#include "skyedge/result.h"

namespace skyedge {

// Time of each step.
struct RefineTiming {
    double shrink_ms = 0.0;   // the image to its working size, at most 1024 pixels a side
    double density_ms = 0.0;  // uncertain pixels classified by the colors of certain ones
    double fit_ms = 0.0;      // probability as a linear function of color, on the grid, and the guard
    double apply_ms = 0.0;    // that function at every pixel of the image
};

// Refines `low_res`, any size over the whole image (the network's own map, or one of the image's size), to the
// image's size. Memory beside the result: the working image, and 4 bytes for 14 numbers at each of its pixels.
Failure refine(const Image& image, const Probability& low_res, Probability& sky, RefineTiming* timing = nullptr);

}  // namespace skyedge
