#include "core/network/net_shapes.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

namespace skyedge {
namespace {

constexpr std::int64_t kMostInBlob = std::int64_t{1} << 28;  // values
constexpr int kMostSide = 1 << 14;
constexpr int kMostWeights = 1 << 28;
constexpr std::size_t kActivationValues[] = {0, 0, 1, 2, 0, 0, 2};  // none, ReLU, leaky, clip, sigmoid, mish, hard swish
constexpr int kRequantized = 100;  // an int8 scale term above this means int8 output

using Shape = std::vector<std::int64_t>;  // channels, height, width; channels alone after global pooling
using Shapes = std::optional<std::vector<Shape>>;

std::int64_t values_of(const Shape& shape) {
    std::int64_t values = 1;
    for (const std::int64_t side : shape) {
        if (side < 1 || side > kMostInBlob || (values *= side) > kMostInBlob) {
            return 0;
        }
    }
    return values;
}

Shapes one(Shape shape) {
    std::vector<Shape> shapes;
    shapes.push_back(std::move(shape));
    return shapes;
}

bool keeps_shape(const std::string& kind) {
    static const std::set<std::string> kinds = {"Clip", "HardSigmoid", "HardSwish", "Noop", "ReLU", "Sigmoid", "Split"};
    return kinds.count(kind) != 0;
}

// Returns a number of the layer; if it is missing or out of range, sets `fits` to false and returns 1.
struct Reader {
    const NetLayer& layer;
    bool fits = true;

    std::int64_t operator()(int key, int low, int high, std::int64_t otherwise) {
        const auto found = layer.whole(key, low, high, static_cast<std::size_t>(otherwise));
        fits = fits && found.has_value();
        return found ? static_cast<std::int64_t>(*found) : 1;
    }
};

std::int64_t side_after(std::int64_t padded, std::int64_t window, std::int64_t stride, bool round_up) {
    const std::int64_t room = padded - window;
    return room < 0 ? 0 : (round_up ? (room + stride - 1) / stride : room / stride) + 1;
}

Shapes convolved(const NetLayer& layer, const Shape& shape) {
    Reader read{layer};
    const bool flat = shape.size() == 1;
    const std::int64_t columns = read(1, 1, 64, 0), rows = read(11, 1, 64, columns);
    const std::int64_t left = read(4, 0, 64, 0), top = read(14, 0, 64, left), right = read(15, 0, 64, left);
    const std::int64_t bottom = read(16, 0, 64, top);
    const std::int64_t groups = layer.kind == "ConvolutionDepthWise" ? read(7, 1, 1 << 14, 1) : 1;
    const std::int64_t outputs = read(0, 1, 1 << 14, 0), weights = read(6, 1, kMostWeights, 0);
    const auto activation = static_cast<std::size_t>(read(9, 0, 6, 0));
    const std::int64_t dilation = read(2, 1, 64, 1), dilation_rows = read(12, 1, 64, dilation);
    const std::int64_t stride = read(3, 1, 64, 1), stride_rows = read(13, 1, 64, stride);
    const auto values = layer.arrays.find(10);
    const std::size_t given = values == layer.arrays.end() ? 0 : values->second.size();
    if (!read.fits || shape[0] % groups != 0 || weights != shape[0] / groups * outputs * rows * columns ||
        given < kActivationValues[activation] || (flat && (rows != 1 || columns != 1 || left != 0 || top != 0))) {
        return std::nullopt;
    }
    if (flat) {
        return one({outputs});
    }
    return one({outputs,
                               side_after(top + shape[1] + bottom, dilation_rows * (rows - 1) + 1, stride_rows, false),
                               side_after(left + shape[2] + right, dilation * (columns - 1) + 1, stride, false)});
}

Shapes pooled(const NetLayer& layer, const Shape& shape) {
    Reader read{layer};
    read(0, 0, 1, 0), read(6, 0, 1, 0);
    if (read(4, 0, 1, 0) == 1) {
        return read.fits ? one({shape[0]}) : std::nullopt;
    }
    if (read(7, 0, 1, 0) == 1) {
        const std::int64_t width = read(8, 1, static_cast<int>(shape[2]), 0);
        const std::int64_t height = read(18, 1, static_cast<int>(shape[1]), width);
        return read.fits ? one({shape[0], height, width}) : std::nullopt;
    }
    const std::int64_t columns = read(1, 1, 64, 0), rows = read(11, 1, 64, columns);
    const std::int64_t stride = read(2, 1, 64, 1), stride_rows = read(12, 1, 64, stride);
    const std::int64_t left = read(3, 0, 63, 0), top = read(13, 0, 63, left), right = read(14, 0, 63, left);
    const std::int64_t bottom = read(15, 0, 63, top);
    const bool round_up = read(5, 0, 1, 0) == 0;
    if (!read.fits || std::max(left, right) >= columns || std::max(top, bottom) >= rows) {
        return std::nullopt;
    }
    return one({shape[0], side_after(top + shape[1] + bottom, rows, stride_rows, round_up),
                               side_after(left + shape[2] + right, columns, stride, round_up)});
}

Shapes of_pair(const NetLayer& layer, const std::vector<Shape>& given) {
    Reader read{layer};
    read(0, 0, 11, 0);
    const bool scalar = read(1, 0, 1, 0) == 1;
    if (!read.fits || given.size() != (scalar ? 1 : 2)) {
        return std::nullopt;
    }
    if (scalar) {
        return one(given[0]);
    }
    const bool first_is_large = values_of(given[0]) >= values_of(given[1]);
    const Shape &large = given[first_is_large ? 0 : 1], &small = given[first_is_large ? 1 : 0];
    const bool fits = large == small || small == Shape{large[0]} || small == Shape{large[0], 1, 1};
    return fits ? one(large) : std::nullopt;
}

Shapes resized(const NetLayer& layer, const Shape& shape) {
    Reader read{layer};
    const std::int64_t kind = read(0, 1, 2, 0);
    read(5, 0, 0, 0), read(6, 0, 0, 0);
    std::int64_t height = read(3, 0, kMostSide, 0), width = read(4, 0, kMostSide, 0);
    if (!read.fits || kind == 0) {
        return std::nullopt;
    }
    if (height == 0 || width == 0) {
        const auto scale = [&](int key) {
            const auto found = layer.numbers.find(key);
            return found == layer.numbers.end() ? 1.0 : found->second;
        };
        height = static_cast<std::int64_t>(std::floor(static_cast<double>(shape[1]) * scale(1)));
        width = static_cast<std::int64_t>(std::floor(static_cast<double>(shape[2]) * scale(2)));
    }
    return one({shape[0], height, width});
}

Shapes sliced(const NetLayer& layer, const Shape& shape) {
    const auto sizes = layer.arrays.find(0);
    if (layer.whole(1, 0, 0, 0) != std::optional<std::size_t>(0) || sizes == layer.arrays.end()) {
        return std::nullopt;
    }
    std::vector<Shape> made;
    double sum = 0.0;
    for (const double size : sizes->second) {
        if (size < 1 || size != std::floor(size)) {
            return std::nullopt;
        }
        sum += size;
        made.push_back({static_cast<std::int64_t>(size), shape[1], shape[2]});
    }
    return sum == static_cast<double>(shape[0]) ? Shapes(made) : std::nullopt;
}

Shapes padded(const NetLayer& layer, const Shape& shape) {
    Reader read{layer};
    const std::int64_t top = read(0, 0, 64, 0), bottom = read(1, 0, 64, 0), left = read(2, 0, 64, 0);
    const std::int64_t right = read(3, 0, 64, 0);
    const bool plain = read(4, 0, 1, 0) == 0 && read(7, 0, 0, 0) == 0 && read(8, 0, 0, 0) == 0;
    return read.fits && plain ? one({shape[0], top + shape[1] + bottom, left + shape[2] + right}) : std::nullopt;
}

// Reorg turns blocks of side x side pixels into channels; PixelShuffle turns channels into blocks.
Shapes blocked(const NetLayer& layer, const Shape& shape) {
    Reader read{layer};
    const std::int64_t side = read(0, 1, 64, 1), area = side * side;
    read(1, 0, 1, 0);
    if (!read.fits || (layer.kind == "PixelShuffle" && shape[0] % area != 0)) {
        return std::nullopt;
    }
    return layer.kind == "Reorg" ? one({shape[0] * area, shape[1] / side, shape[2] / side})
                                 : one({shape[0] / area, shape[1] * side, shape[2] * side});
}

Shapes joined(const NetLayer& layer, const std::vector<Shape>& given) {
    Shape sum = given[0];
    sum[0] = 0;
    for (const Shape& shape : given) {
        if (shape.size() != 3 || sum.size() != 3 || shape[1] != sum[1] || shape[2] != sum[2]) {
            return std::nullopt;
        }
        sum[0] += shape[0];
    }
    return layer.whole(0, 0, 0, 0) ? one(sum) : std::nullopt;
}

// Returns the output shapes of `layer` for the input shapes `given`.
Shapes shapes_of(const NetLayer& layer, const std::vector<Shape>& given) {
    if (layer.kind == "BinaryOp") {
        return of_pair(layer, given);
    }
    if (layer.kind == "Concat") {
        return joined(layer, given);
    }
    if (given.size() != 1) {
        return std::nullopt;
    }
    if (keeps_shape(layer.kind)) {
        return std::vector<Shape>(layer.kind == "Split" ? layer.tops.size() : 1, given[0]);
    }
    if (layer.is_convolution()) {
        return convolved(layer, given[0]);
    }
    if (given[0].size() != 3) {
        return std::nullopt;
    }
    return layer.kind == "Slice"     ? sliced(layer, given[0])
           : layer.kind == "Padding" ? padded(layer, given[0])
           : layer.kind == "Interp"  ? resized(layer, given[0])
           : layer.kind == "Pooling" ? pooled(layer, given[0])
                                     : blocked(layer, given[0]);
}

}  // namespace

std::optional<std::size_t> NetLayer::whole(int key, int low, int high, std::size_t otherwise) const {
    const auto found = numbers.find(key);
    if (found == numbers.end()) {
        return arrays.count(key) == 0 ? std::optional(otherwise) : std::nullopt;
    }
    const double number = found->second;
    return number >= low && number <= high && number == std::floor(number)
               ? std::optional(static_cast<std::size_t>(number))
               : std::nullopt;
}

const std::set<int>* keys_of(const std::string& kind) {
    static const std::set<int> convolution = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19};
    static const std::set<int> two = {0, 1};
    static const std::map<std::string, std::set<int>> others = {
        {"BinaryOp", {0, 1, 2}},
        {"Concat", {0}},
        {"Input", {0, 1, 2}},
        {"Interp", {0, 1, 2, 3, 4, 5, 6}},
        {"Padding", {0, 1, 2, 3, 4, 5, 7, 8}},
        {"PixelShuffle", {0, 1}},
        {"Pooling", {0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 18}},
        {"Reorg", {0, 1}},
        {"Slice", {0, 1}},
    };
    if (kind == "Convolution" || kind == "ConvolutionDepthWise") {
        return &convolution;
    }
    if (keeps_shape(kind)) {
        return &two;
    }
    const auto found = others.find(kind);
    return found == others.end() ? nullptr : &found->second;
}

Failure check_shapes(const std::vector<NetLayer>& layers, int height, int width) {
    std::map<std::string, Shape> shapes;
    std::set<std::string> borrowed;  // blobs in the caller's memory: ncnn crashes if a layer works on them in place
    std::set<std::string> int8;      // int8 outputs of convolutions, which only an int8 convolution accepts
    for (const NetLayer& layer : layers) {
        const auto fault = [&](const std::string& what) {
            return Error{"layer '" + layer.name.substr(0, 40) + "': got " + what + "; export the artifact again"};
        };
        const auto among = [&](const std::set<std::string>& blobs) {
            return std::any_of(layer.bottoms.begin(), layer.bottoms.end(),
                               [&](const std::string& blob) { return blobs.count(blob) != 0; });
        };
        if (layer.kind == "Input" || (layer.kind == "Split" && among(borrowed))) {
            borrowed.insert(layer.tops.begin(), layer.tops.end());
        } else if ((keeps_shape(layer.kind) || layer.kind == "BinaryOp") && among(borrowed)) {
            return fault(layer.kind + " on the image itself, expected a convolution");
        }
        const std::size_t term = layer.is_convolution() ? layer.whole(8, 0, 102, 0).value_or(0) : 0;
        if (among(int8) && term == 0) {
            return fault("int8 from the layer before, expected float");
        }
        if (term > kRequantized) {
            int8.insert(layer.tops.begin(), layer.tops.end());
        }
        std::vector<Shape> given;
        for (const std::string& blob : layer.bottoms) {
            given.push_back(shapes.at(blob));
        }
        const Shapes made = layer.kind == "Input" ? one({3, height, width}) : shapes_of(layer, given);
        if (!made || made->size() != layer.tops.size() ||
            std::any_of(made->begin(), made->end(), [](const Shape& shape) { return values_of(shape) == 0; })) {
            return fault("numbers of " + (layer.is_convolution() ? "a convolution" : layer.kind) +
                         " that do not fit together");
        }
        for (std::size_t i = 0; i < made->size(); ++i) {
            shapes[layer.tops[i]] = (*made)[i];
        }
    }
    return std::nullopt;
}

}  // namespace skyedge
