// Checks that .param describes a network of known layers and that .bin holds its weights.
#pragma once

#include <cstdint>
#include <vector>

#include "skyedge/result.h"

namespace skyedge {

// Checks both files of a network before ncnn reads them: ncnn trusts every number and allocates what it asks for. A right
// SHA-256 does not help, since strangers write artifacts. The rules are those of
// edge_runtime/backends/checks/ncnn_check.py, for an image of height x width pixels. The message names the line or the layer.
Failure check_net(const std::vector<std::uint8_t>& param, const std::vector<std::uint8_t>& bin, int height, int width);

}  // namespace skyedge
