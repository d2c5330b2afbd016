// The kinds of layers of an ncnn network, and the shapes of the blobs that they make: ncnn crashes on inconsistent sizes.
// edge_runtime/backends/checks/ncnn_check.py has the same rules.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace skyedge {

using Shape = std::vector<std::int64_t>;  // channels, height, width; channels alone after global pooling
using Shapes = std::vector<Shape>;

constexpr int kMostWeights = 1 << 28;

// What is wrong with the files; check_net returns it as an Error.
class NetFault : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A line of .param.
struct NetLayer {
    std::string kind;
    std::string name;
    std::vector<std::string> bottoms;
    std::vector<std::string> tops;
    std::map<int, double> numbers;              // of the keys that hold one number
    std::map<int, std::vector<double>> arrays;  // of the keys that hold an array

    bool is_convolution() const { return kind == "Convolution" || kind == "ConvolutionDepthWise"; }
    NetFault fault(const std::string& what) const;
    NetFault misfit() const;  // numbers that do not fit together

    // Returns the integer under `key`, from `low` to `high`; `otherwise` if the key is missing, as in ncnn. Else throws misfit().
    std::int64_t whole(int key, std::int64_t low, std::int64_t high, std::int64_t otherwise) const;
};

struct NetKind {
    std::set<int> keys;                                          // that a layer may have
    Shapes (*shapes)(const NetLayer& layer, const Shapes& given);  // of its outputs; throws misfit()
    bool in_place = false;                                       // ncnn may write to its input
};

// Returns nullptr for an unknown kind.
const NetKind* find_kind(const std::string& kind);

}  // namespace skyedge
