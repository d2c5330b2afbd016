// What ncnn is not asked to find out: whether .param describes a network of known layers, and .bin holds its weights.
#pragma once

#include <cstdint>
#include <vector>

#include "skyedge/result.h"

namespace skyedge {

// Checks both files of a network before ncnn reads them. SHA-256 only says that they are what their artifact's maker
// wrote; ncnn believes numbers, to the point of allocating what they ask for. The rules are those of
// edge_runtime/backends/ncnn_check.py, for an image of height x width pixels. The message names the line or the layer.
Failure check_net(const std::vector<std::uint8_t>& param, const std::vector<std::uint8_t>& bin, int height, int width);

}  // namespace skyedge
