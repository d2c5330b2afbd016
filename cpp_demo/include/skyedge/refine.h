// Aligns a low-resolution probability of sky with the edges of its image: weighted guided upsampling with density estimation
// (Liba et al. 2020, arXiv 2006.10172). The same as the method `weighted` of edge_runtime/masks/refine.py with its defaults,
// which documents the differences from the paper.
#pragma once

#include "skyedge/image_ops.h"
#include "skyedge/result.h"

namespace skyedge {

// Refines `low_res`, a map over the whole image such as the network's own, to the image's size. Memory beside the result:
// the working image of at most 1024 pixels a side, and 4 bytes for 14 numbers at each of its pixels.
Failure refine(const Image& image, const Probability& low_res, Probability& sky);

}  // namespace skyedge
