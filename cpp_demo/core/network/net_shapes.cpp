#include "core/network/net_shapes.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace skyedge {
namespace {

constexpr int kMostSide = 1 << 14;
constexpr std::size_t kActivationValues[] = {0, 0, 1, 2, 0, 0, 2};  // none, ReLU, leaky, clip, sigmoid, mish, hard swish

std::int64_t values_of(const Shape& shape) {
    return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

// Returns the one input of a layer that takes an image.
const Shape& image_of(const NetLayer& layer, const Shapes& given) {
    if (given.size() != 1 || given[0].size() != 3) {
        throw layer.misfit();
    }
    return given[0];
}

// A number for each direction. ncnn keeps that of the rows ten keys above that of the columns, and fills it in from there.
struct Pair {
    std::int64_t rows, columns;

    Pair(const NetLayer& layer, int key, std::int64_t otherwise)
        : rows(0), columns(layer.whole(key, 1, 64, otherwise)) {
        rows = layer.whole(key + 10, 1, 64, columns);
    }
};

// The borders around an image, whose keys begin at `key`.
struct Border {
    std::int64_t left, top, right, bottom;

    Border(const NetLayer& layer, int key, int most)
        : left(layer.whole(key, 0, most, 0)), top(layer.whole(key + 10, 0, most, left)),
          right(layer.whole(key + 11, 0, most, left)), bottom(layer.whole(key + 12, 0, most, top)) {}
};

// The image after a window slid over it; sides are 0 where it is larger than the image.
Shape slid(std::int64_t channels, const Shape& image, const Border& border, const Pair& window, const Pair& stride, bool round_up) {
    const auto side = [&](std::int64_t padded, std::int64_t size, std::int64_t step) {
        const std::int64_t room = padded - size;
        return room < 0 ? 0 : (round_up ? (room + step - 1) / step : room / step) + 1;
    };
    return {channels, side(border.top + image[1] + border.bottom, window.rows, stride.rows),
            side(border.left + image[2] + border.right, window.columns, stride.columns)};
}

Shapes same(const NetLayer& layer, const Shapes& given) {
    if (given.size() != 1) {
        throw layer.misfit();
    }
    return Shapes(layer.kind == "Split" ? layer.tops.size() : 1, given[0]);
}

Shapes convolved(const NetLayer& layer, const Shapes& given) {
    if (given.size() != 1) {
        throw layer.misfit();
    }
    const Shape& shape = given[0];
    const bool flat = shape.size() == 1;
    const std::int64_t groups = layer.kind == "ConvolutionDepthWise" ? layer.whole(7, 1, 1 << 14, 1) : 1;
    const std::int64_t outputs = layer.whole(0, 1, 1 << 14, 0), weights = layer.whole(6, 1, kMostWeights, 0);
    const Pair kernel(layer, 1, 0), dilation(layer, 2, 1), stride(layer, 3, 1);
    const Border border(layer, 4, 64);
    const auto activation = static_cast<std::size_t>(layer.whole(9, 0, 6, 0));
    const auto values = layer.arrays.find(10);
    const std::size_t known = values == layer.arrays.end() ? 0 : values->second.size();
    const std::int64_t each = outputs * kernel.rows * kernel.columns;
    const bool plain = kernel.rows == 1 && kernel.columns == 1 && border.left == 0 && border.top == 0;
    if (each == 0 || outputs % groups != 0 || shape[0] % groups != 0 || weights != shape[0] / groups * each ||
        known < kActivationValues[activation] || (flat && !plain)) {
        throw layer.misfit();
    }
    if (flat) {
        return {{outputs}};
    }
    Pair window = kernel;
    window.rows = dilation.rows * (kernel.rows - 1) + 1;
    window.columns = dilation.columns * (kernel.columns - 1) + 1;
    return {slid(outputs, shape, border, window, stride, false)};
}

Shapes pooled(const NetLayer& layer, const Shapes& given) {
    const Shape& shape = image_of(layer, given);
    layer.whole(0, 0, 1, 0);
    layer.whole(6, 0, 1, 0);
    if (layer.whole(4, 0, 1, 0) == 1) {
        return {{shape[0]}};
    }
    if (layer.whole(7, 0, 1, 0) == 1) {
        const std::int64_t width = layer.whole(8, 1, shape[2], 0);
        return {{shape[0], layer.whole(18, 1, shape[1], width), width}};
    }
    const Pair window(layer, 1, 0), stride(layer, 2, 1);
    const Border border(layer, 3, 63);
    if (std::max(border.left, border.right) >= window.columns || std::max(border.top, border.bottom) >= window.rows) {
        throw layer.misfit();
    }
    return {slid(shape[0], shape, border, window, stride, layer.whole(5, 0, 1, 0) == 0)};
}

Shapes of_pair(const NetLayer& layer, const Shapes& given) {
    layer.whole(0, 0, 11, 0);
    const bool scalar = layer.whole(1, 0, 1, 0) == 1;
    if (given.size() != (scalar ? 1 : 2)) {
        throw layer.misfit();
    }
    const bool first_is_large = scalar || values_of(given[0]) >= values_of(given[1]);
    const Shape &large = given[first_is_large ? 0 : 1], &small = given[scalar || !first_is_large ? 0 : 1];
    if (large != small && small != Shape{large[0]} && small != Shape{large[0], 1, 1}) {
        throw layer.misfit();
    }
    return {large};
}

Shapes joined(const NetLayer& layer, const Shapes& given) {
    Shape sum = given[0];
    sum[0] = layer.whole(0, 0, 0, 0);
    for (const Shape& shape : given) {
        if (shape.size() != 3 || sum.size() != 3 || shape[1] != sum[1] || shape[2] != sum[2]) {
            throw layer.misfit();
        }
        sum[0] += shape[0];
    }
    return {sum};
}

Shapes resized(const NetLayer& layer, const Shapes& given) {
    const Shape& shape = image_of(layer, given);
    layer.whole(5, 0, 0, 0);
    layer.whole(6, 0, 0, 0);
    std::int64_t height = layer.whole(3, 0, kMostSide, 0), width = layer.whole(4, 0, kMostSide, 0);
    if (layer.whole(0, 1, 2, 0) == 0) {
        throw layer.misfit();
    }
    if (height == 0 || width == 0) {
        const auto scaled = [&](std::int64_t side, int key) {
            const auto found = layer.numbers.find(key);
            const double scale = found == layer.numbers.end() ? 1.0 : found->second;
            return static_cast<std::int64_t>(std::floor(static_cast<double>(side) * scale));
        };
        height = scaled(shape[1], 1);
        width = scaled(shape[2], 2);
    }
    return {{shape[0], height, width}};
}

Shapes sliced(const NetLayer& layer, const Shapes& given) {
    const Shape& shape = image_of(layer, given);
    const auto sizes = layer.arrays.find(0);
    double left = static_cast<double>(shape[0]) - static_cast<double>(layer.whole(1, 0, 0, 0));
    Shapes made;
    for (const double size : sizes == layer.arrays.end() ? std::vector<double>{} : sizes->second) {
        if (size < 1 || size != std::floor(size)) {
            throw layer.misfit();
        }
        left -= size;
        made.push_back({static_cast<std::int64_t>(size), shape[1], shape[2]});
    }
    if (left != 0) {
        throw layer.misfit();
    }
    return made;
}

Shapes padded(const NetLayer& layer, const Shapes& given) {
    const Shape& shape = image_of(layer, given);
    layer.whole(7, 0, 0, 0);
    layer.whole(8, 0, 0, 0);
    if (layer.whole(4, 0, 1, 0) == 1) {
        throw layer.misfit();
    }
    const auto border = [&](int key) { return layer.whole(key, 0, 64, 0); };
    return {{shape[0], border(0) + shape[1] + border(1), border(2) + shape[2] + border(3)}};
}

// Reorg turns blocks of side x side pixels into channels; PixelShuffle turns channels into blocks.
Shapes blocked(const NetLayer& layer, const Shapes& given) {
    const Shape& shape = image_of(layer, given);
    const std::int64_t side = layer.whole(0, 1, 64, 1), area = side * side;
    layer.whole(1, 0, 1, 0);
    if (layer.kind == "Reorg") {
        return {{shape[0] * area, shape[1] / side, shape[2] / side}};
    }
    if (shape[0] % area != 0) {
        throw layer.misfit();
    }
    return {{shape[0] / area, shape[1] * side, shape[2] * side}};
}

}  // namespace

NetFault NetLayer::fault(const std::string& what) const {
    return NetFault("layer '" + name.substr(0, 40) + "': " + what + "; export the artifact again");
}

NetFault NetLayer::misfit() const {
    return fault("got numbers of " + (is_convolution() ? "a convolution" : kind) + " that do not fit together");
}

std::int64_t NetLayer::whole(int key, std::int64_t low, std::int64_t high, std::int64_t otherwise) const {
    const auto found = numbers.find(key);
    if (found == numbers.end() && arrays.count(key) == 0) {
        return otherwise;
    }
    const double number = found == numbers.end() ? std::nan("") : found->second;
    if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high) && number == std::floor(number))) {
        throw misfit();
    }
    return static_cast<std::int64_t>(number);
}

const NetKind* find_kind(const std::string& kind) {
    static const NetKind convolution{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19}, convolved};
    static const NetKind in_place{{0, 1}, same, true};
    static const std::map<std::string, NetKind> kinds = {
        {"BinaryOp", {{0, 1, 2}, of_pair, true}},
        {"Clip", in_place},
        {"Concat", {{0}, joined}},
        {"Convolution", convolution},
        {"ConvolutionDepthWise", convolution},
        {"HardSigmoid", in_place},
        {"HardSwish", in_place},
        {"Input", {{0, 1, 2}, nullptr}},
        {"Interp", {{0, 1, 2, 3, 4, 5, 6}, resized}},
        {"Noop", in_place},
        {"Padding", {{0, 1, 2, 3, 4, 5, 7, 8}, padded}},
        {"PixelShuffle", {{0, 1}, blocked}},
        {"Pooling", {{0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 18}, pooled}},
        {"ReLU", in_place},
        {"Reorg", {{0, 1}, blocked}},
        {"Sigmoid", in_place},
        {"Slice", {{0, 1}, sliced}},
        {"Split", {{0, 1}, same}},
    };
    const auto found = kinds.find(kind);
    return found == kinds.end() ? nullptr : &found->second;
}

}  // namespace skyedge
