#include "image_ops.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>

namespace skyedge {
namespace {

constexpr int kChannels = 3;
// 8 bits of pixel and 2 of headroom leave 22 of the 32 for a weight.
constexpr int kWeightBits = 32 - 8 - 2;

// Which pixels of a line make one pixel of the resized line, and how much each counts.
struct Taps {
    int first = 0;
    std::vector<std::int32_t> weights;  // sum to 1 << kWeightBits, but for rounding
};

// The triangle filter at every pixel of a line that goes from in_px to out_px. Double arithmetic in this very order:
// another one moves some weights by one unit, and with them some pixels.
std::vector<Taps> triangle_taps(int in_px, int out_px) {
    const double scale = static_cast<double>(in_px) / out_px;
    const double support = std::max(scale, 1.0);  // half the filter's width, in input pixels
    const double per_input = 1.0 / support;
    std::vector<Taps> taps(static_cast<std::size_t>(out_px));
    std::vector<double> heights;
    for (int out = 0; out < out_px; ++out) {
        const double centre = (out + 0.5) * scale;
        const int first = std::max(0, static_cast<int>(centre - support + 0.5));
        const int last = std::min(in_px, static_cast<int>(centre + support + 0.5));
        heights.clear();
        double sum = 0.0;
        for (int i = 0; i < last - first; ++i) {
            const double distance = std::abs((i + first - centre + 0.5) * per_input);
            heights.push_back(distance < 1.0 ? 1.0 - distance : 0.0);
            sum += heights.back();
        }
        Taps& tap = taps[static_cast<std::size_t>(out)];
        tap.first = first;
        for (const double height : heights) {
            const double weight = sum != 0.0 ? height / sum : height;
            // Weights are never negative, so adding a half and cutting rounds halves up.
            tap.weights.push_back(static_cast<std::int32_t>(0.5 + weight * (1 << kWeightBits)));
        }
    }
    return taps;
}

std::uint8_t to_byte(std::int32_t fixed_point) {
    return static_cast<std::uint8_t>(std::clamp(fixed_point >> kWeightBits, 0, 255));
}

Image resize_rows(const Image& image, int width_px) {
    const std::vector<Taps> taps = triangle_taps(image.width_px, width_px);
    Image out{width_px, image.height_px, {}};
    out.rgb.reserve(static_cast<std::size_t>(width_px) * static_cast<std::size_t>(image.height_px) * kChannels);
    for (int y = 0; y < image.height_px; ++y) {
        const std::uint8_t* row = image.rgb.data() + static_cast<std::ptrdiff_t>(y) * image.width_px * kChannels;
        for (const Taps& tap : taps) {
            std::int32_t sum[kChannels];
            std::fill_n(sum, kChannels, 1 << (kWeightBits - 1));
            const std::uint8_t* pixel = row + static_cast<std::ptrdiff_t>(tap.first) * kChannels;
            for (const std::int32_t weight : tap.weights) {
                for (int c = 0; c < kChannels; ++c) {
                    sum[c] += pixel[c] * weight;
                }
                pixel += kChannels;
            }
            for (const std::int32_t value : sum) {
                out.rgb.push_back(to_byte(value));
            }
        }
    }
    return out;
}

Image resize_columns(const Image& image, int height_px) {
    const std::size_t stride = static_cast<std::size_t>(image.width_px) * kChannels;
    Image out{image.width_px, height_px, {}};
    out.rgb.reserve(stride * static_cast<std::size_t>(height_px));
    std::vector<std::int32_t> sums(stride);
    for (const Taps& tap : triangle_taps(image.height_px, height_px)) {
        // Whole rows at a time, so that memory is read in order.
        std::fill(sums.begin(), sums.end(), 1 << (kWeightBits - 1));
        const std::uint8_t* row = image.rgb.data() + static_cast<std::size_t>(tap.first) * stride;
        for (const std::int32_t weight : tap.weights) {
            for (std::size_t i = 0; i < stride; ++i) {
                sums[i] += row[i] * weight;
            }
            row += stride;
        }
        std::transform(sums.begin(), sums.end(), std::back_inserter(out.rgb), to_byte);
    }
    return out;
}

// Two neighbours of a resized position and the share of the second.
struct Blend {
    int low = 0;
    int high = 0;
    float share = 0.0F;
};

std::vector<Blend> half_pixel_blends(int in_px, int out_px) {
    const double scale = static_cast<double>(in_px) / out_px;
    std::vector<Blend> blends;
    blends.reserve(static_cast<std::size_t>(out_px));
    for (int out = 0; out < out_px; ++out) {
        const auto position = static_cast<float>((out + 0.5) * scale - 0.5);
        const int low = static_cast<int>(std::floor(position));
        if (low < 0) {
            blends.push_back({0, 0, 0.0F});
        } else if (low >= in_px - 1) {
            blends.push_back({in_px - 1, in_px - 1, 0.0F});
        } else {
            blends.push_back({low, low + 1, position - static_cast<float>(low)});
        }
    }
    return blends;
}

}  // namespace

Image resize_pillow_bilinear(const Image& image, int width_px, int height_px) {
    // Pillow leaves out a pass that would not change the size.
    if (width_px == image.width_px) {
        return height_px == image.height_px ? image : resize_columns(image, height_px);
    }
    Image rows = resize_rows(image, width_px);
    return height_px == image.height_px ? rows : resize_columns(rows, height_px);
}

Probability resize_probability(const Probability& probability, int width_px, int height_px) {
    if (width_px == probability.width_px && height_px == probability.height_px) {
        return probability;
    }
    const std::vector<Blend> columns = half_pixel_blends(probability.width_px, width_px);
    Probability out{width_px, height_px, {}};
    out.values.reserve(static_cast<std::size_t>(width_px) * static_cast<std::size_t>(height_px));
    const auto row_at = [&](int y) {
        return probability.values.data() + static_cast<std::ptrdiff_t>(y) * probability.width_px;
    };
    for (const Blend& y : half_pixel_blends(probability.height_px, height_px)) {
        const float* above = row_at(y.low);
        const float* below = row_at(y.high);
        for (const Blend& x : columns) {
            const float top = above[x.low] * (1.0F - x.share) + above[x.high] * x.share;
            const float bottom = below[x.low] * (1.0F - x.share) + below[x.high] * x.share;
            out.values.push_back(top * (1.0F - y.share) + bottom * y.share);
        }
    }
    return out;
}

Mask to_mask8(const Probability& probability) {
    Mask mask{probability.width_px, probability.height_px, {}};
    mask.values.reserve(probability.values.size());
    for (const float p : probability.values) {
        mask.values.push_back(static_cast<std::uint8_t>(std::nearbyint(std::clamp(p, 0.0F, 1.0F) * 255.0F)));
    }
    return mask;
}

}  // namespace skyedge
