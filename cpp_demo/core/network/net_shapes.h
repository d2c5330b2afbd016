// Computes the shapes of an ncnn network's blobs before ncnn runs it: ncnn crashes on inconsistent sizes.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "skyedge/result.h"

namespace skyedge {

// A line of .param.
struct NetLayer {
    std::string kind;
    std::string name;
    std::vector<std::string> bottoms;
    std::vector<std::string> tops;
    std::map<int, double> numbers;              // of the keys that hold one number
    std::map<int, std::vector<double>> arrays;  // of the keys that hold an array

    bool is_convolution() const { return kind == "Convolution" || kind == "ConvolutionDepthWise"; }

    // The integer under `key` if it is within `low` to `high`; `otherwise` if the key is missing, as in ncnn.
    std::optional<std::size_t> whole(int key, int low, int high, std::size_t otherwise) const;
};

// Returns the keys that a layer of `kind` may have; nullptr for an unknown kind.
const std::set<int>* keys_of(const std::string& kind);

// Computes the shape of every blob for an image of height x width pixels. Every layer must be of a known kind and read
// only outputs of earlier layers. edge_runtime/backends/checks/ncnn_check.py has the same rules.
Failure check_shapes(const std::vector<NetLayer>& layers, int height, int width);

}  // namespace skyedge
