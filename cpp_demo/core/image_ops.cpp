#include "skyedge/image_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/simd.h"

namespace skyedge {
namespace {

constexpr int kChannels = 3;
// 8 bits of pixel and 2 of headroom leave 22 of the 32 for a weight.
constexpr int kWeightBits = 32 - 8 - 2;
constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

// A pixel and one byte more, as four numbers: a shape that every CPU has, unlike three. Spelled as shuffles of bytes
// (little-endian), since GCC takes conversions of four bytes apart.
using Lanes = std::int32_t __attribute__((vector_size(16)));
using Bytes = std::uint8_t __attribute__((vector_size(16)));

inline Lanes load_pixel(const std::uint8_t* from) {
    std::int32_t word = 0;
    std::memcpy(&word, from, sizeof word);
    const Bytes bytes = reinterpret_cast<Bytes>(Lanes{word, 0, 0, 0});
    return reinterpret_cast<Lanes>(
        __builtin_shufflevector(bytes, Bytes{}, 0, 16, 16, 16, 1, 16, 16, 16, 2, 16, 16, 16, 3, 16, 16, 16));
}

inline void store_pixel(Lanes sums, std::uint8_t* to) {
    const Lanes values = sums >> kWeightBits;  // no weight is negative, so neither is this
    const Bytes bytes = reinterpret_cast<Bytes>(values > 255 ? Lanes{} + 255 : values);
    const std::int32_t word = reinterpret_cast<Lanes>(
        __builtin_shufflevector(bytes, Bytes{}, 0, 4, 8, 12, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16))[0];
    std::memcpy(to, &word, sizeof word);
}

// What `resize_row_block` works on: `count` rows, each of in_stride bytes, to rows of out_stride bytes.
struct RowBlock {
    const std::uint8_t* in;
    std::size_t in_stride;
    std::uint8_t* out;
    std::size_t out_stride;
};

// Resizes kRows rows at once, which share their weights. Reads and writes one byte behind the end of every row.
template <int kRows>
inline void resize_row_block(const RowBlock& block, const int* first, const std::int32_t* weights, int taps,
                             int out_px) {
    for (int x = 0; x < out_px; ++x, weights += taps) {
        Lanes sums[kRows];
        const std::uint8_t* pixel[kRows];
        for (int r = 0; r < kRows; ++r) {
            sums[r] = Lanes{} + kHalf;
            pixel[r] = block.in + static_cast<std::size_t>(r) * block.in_stride + first[x] * kChannels;
        }
        for (int k = 0; k < taps; ++k) {
            for (int r = 0; r < kRows; ++r) {
                sums[r] += load_pixel(pixel[r] + k * kChannels) * weights[k];
            }
        }
        for (int r = 0; r < kRows; ++r) {
            store_pixel(sums[r], block.out + static_cast<std::size_t>(r) * block.out_stride + x * kChannels);
        }
    }
}

SKYEDGE_SIMD void resize_four_rows(const RowBlock& block, const int* first, const std::int32_t* weights, int taps,
                                   int out_px) {
    resize_row_block<4>(block, first, weights, taps, out_px);
}

SKYEDGE_SIMD void resize_one_row(const RowBlock& block, const int* first, const std::int32_t* weights, int taps,
                                 int out_px) {
    resize_row_block<1>(block, first, weights, taps, out_px);
}

// sums += row * weight, for all bytes of a row.
SKYEDGE_SIMD void add_row(std::int32_t* __restrict sums, const std::uint8_t* __restrict row, std::int32_t weight,
                          std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        sums[i] += row[i] * weight;
    }
}

SKYEDGE_SIMD void store_row(const std::int32_t* __restrict sums, std::uint8_t* __restrict out, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        out[i] = static_cast<std::uint8_t>(std::min(sums[i] >> kWeightBits, 255));
    }
}

// out = above (1 - share) + below share.
SKYEDGE_SIMD void blend_rows(const float* __restrict above, const float* __restrict below, float share,
                             float* __restrict out, std::size_t count) {
    const float rest = 1.0F - share;
    for (std::size_t i = 0; i < count; ++i) {
        out[i] = above[i] * rest + below[i] * share;
    }
}

SKYEDGE_SIMD void to_bytes(const float* __restrict values, std::uint8_t* __restrict bytes, std::size_t count) {
    // Floats from 2^23 to 2^24 hold whole numbers only, so that adding rounds, ties to even.
    constexpr float kRound = 12582912.0F;  // 1.5 x 2^23
    for (std::size_t i = 0; i < count; ++i) {
        const float p = std::min(std::max(values[i], 0.0F), 1.0F);
        bytes[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>((p * 255.0F + kRound) - kRound));
    }
}

std::size_t size_of(int number) { return static_cast<std::size_t>(number); }

}  // namespace

// The triangle filter at every pixel of the resized line. Double arithmetic in this very order: another one moves some
// weights by one unit, and with them some pixels.
void PillowResizer::Filter::prepare(int in, int out) {
    if (in == in_px && out == out_px) {
        return;
    }
    in_px = in;
    out_px = out;
    const double scale = static_cast<double>(in_px) / out_px;
    const double support = std::max(scale, 1.0);  // half the filter's width, in input pixels
    const double per_input = 1.0 / support;
    const auto first_of = [&](double centre) { return std::max(0, static_cast<int>(centre - support + 0.5)); };
    const auto last_of = [&](double centre) { return std::min(in_px, static_cast<int>(centre + support + 0.5)); };
    // The same number of taps everywhere, some of them 0, lets the loops run without a branch.
    taps = 0;
    for (int i = 0; i < out_px; ++i) {
        const double centre = (i + 0.5) * scale;
        taps = std::max(taps, last_of(centre) - first_of(centre));
    }
    first.assign(size_of(out_px), 0);
    weights.assign(size_of(out_px) * size_of(taps), 0);
    std::vector<double> heights;
    for (int i = 0; i < out_px; ++i) {
        const double centre = (i + 0.5) * scale;
        const int begin = first_of(centre);
        heights.clear();
        double sum = 0.0;
        for (int k = begin; k < last_of(centre); ++k) {
            const double distance = std::abs((k - centre + 0.5) * per_input);
            heights.push_back(distance < 1.0 ? 1.0 - distance : 0.0);
            sum += heights.back();
        }
        first[size_of(i)] = std::min(begin, in_px - taps);  // stays inside the line
        std::int32_t* weight = weights.data() + size_of(i) * size_of(taps) + (begin - first[size_of(i)]);
        for (const double height : heights) {
            const double share = sum != 0.0 ? height / sum : height;
            // Weights are never negative, so adding a half and cutting rounds halves up.
            *weight++ = static_cast<std::int32_t>(0.5 + share * (1 << kWeightBits));
        }
    }
}

void PillowResizer::resize_rows(const Image& image, int width_px) {
    columns_.prepare(image.width_px, width_px);
    const std::size_t in_stride = size_of(image.width_px) * kChannels;
    wide_stride_ = size_of(width_px) * kChannels + 1;  // the last store of a row writes one byte more
    wide_.resize(wide_stride_ * size_of(image.height_px));
    const auto block_at = [&](int y) {
        return RowBlock{image.rgb.data() + size_of(y) * in_stride, in_stride, wide_.data() + size_of(y) * wide_stride_,
                        wide_stride_};
    };
    const int* first = columns_.first.data();
    const std::int32_t* weights = columns_.weights.data();
    int y = 0;
    for (; y + 4 < image.height_px; y += 4) {
        resize_four_rows(block_at(y), first, weights, columns_.taps, width_px);
    }
    for (; y + 1 < image.height_px; ++y) {
        resize_one_row(block_at(y), first, weights, columns_.taps, width_px);
    }
    // No byte follows the last row, so that is read from a copy.
    RowBlock last = block_at(y);
    last_row_.resize(in_stride + 1);
    std::copy_n(last.in, in_stride, last_row_.begin());
    last.in = last_row_.data();
    resize_one_row(last, first, weights, columns_.taps, width_px);
}

void PillowResizer::resize(const Image& image, int width_px, int height_px, Image& out) {
    const std::size_t row_bytes = size_of(width_px) * kChannels;
    const std::uint8_t* rows = image.rgb.data();  // a pass that changes no size changes no pixel
    std::size_t stride = row_bytes;
    if (width_px != image.width_px) {
        resize_rows(image, width_px);
        rows = wide_.data();
        stride = wide_stride_;
    }
    out.width_px = width_px;
    out.height_px = height_px;
    out.rgb.resize(row_bytes * size_of(height_px));
    rows_.prepare(image.height_px, height_px);
    sums_.resize(row_bytes);
    const std::int32_t* weights = rows_.weights.data();
    for (int y = 0; y < height_px; ++y, weights += rows_.taps) {
        // Whole rows at a time, so that memory is read in order.
        std::fill(sums_.begin(), sums_.end(), kHalf);
        for (int k = 0; k < rows_.taps; ++k) {
            add_row(sums_.data(), rows + size_of(rows_.first[size_of(y)] + k) * stride, weights[k], row_bytes);
        }
        store_row(sums_.data(), out.rgb.data() + size_of(y) * row_bytes, row_bytes);
    }
}

void ProbabilityResizer::Blends::prepare(int in, int out) {
    if (in == in_px && out == out_px) {
        return;
    }
    in_px = in;
    out_px = out;
    first.resize(size_of(out_px));
    share.resize(size_of(out_px));
    const double scale = static_cast<double>(in_px) / out_px;
    const int last = std::max(0, in_px - 2);  // the second neighbour must exist, but in a line of one pixel
    for (int i = 0; i < out_px; ++i) {
        const auto position = static_cast<float>((i + 0.5) * scale - 0.5);
        const int low = static_cast<int>(std::floor(position));
        first[size_of(i)] = std::clamp(low, 0, last);
        share[size_of(i)] =
            in_px == 1 ? 0.0F : std::clamp(position - static_cast<float>(first[size_of(i)]), 0.0F, 1.0F);
    }
}

void ProbabilityResizer::resize(const Probability& probability, int width_px, int height_px, Probability& out) {
    out.width_px = width_px;
    out.height_px = height_px;
    if (width_px == probability.width_px && height_px == probability.height_px) {
        out.values = probability.values;
        return;
    }
    columns_.prepare(probability.width_px, width_px);
    rows_.prepare(probability.height_px, height_px);
    out.values.resize(size_of(width_px) * size_of(height_px));
    above_.resize(size_of(width_px));
    below_.resize(size_of(width_px));
    const auto stretch = [&](int y, std::vector<float>& line) {
        const float* row = probability.values.data() + size_of(y) * size_of(probability.width_px);
        const float* next = row + (probability.width_px > 1 ? 1 : 0);
        const int* first = columns_.first.data();
        const float* share = columns_.share.data();
        for (std::size_t x = 0; x < line.size(); ++x) {
            line[x] = row[first[x]] * (1.0F - share[x]) + next[first[x]] * share[x];
        }
    };
    int above_y = -1;  // the rows that above_ and below_ hold
    int below_y = -1;
    for (int y = 0; y < height_px; ++y) {
        const int upper = rows_.first[size_of(y)];
        const int lower = std::min(upper + 1, probability.height_px - 1);
        if (upper == below_y) {
            std::swap(above_, below_);
            std::swap(above_y, below_y);
        }
        if (upper != above_y) {
            stretch(upper, above_);
            above_y = upper;
        }
        if (lower != below_y) {
            stretch(lower, below_);
            below_y = lower;
        }
        blend_rows(above_.data(), below_.data(), rows_.share[size_of(y)],
                   out.values.data() + size_of(y) * size_of(width_px), size_of(width_px));
    }
}

Image resize_pillow_bilinear(const Image& image, int width_px, int height_px) {
    Image out;
    PillowResizer().resize(image, width_px, height_px, out);
    return out;
}

Probability resize_probability(const Probability& probability, int width_px, int height_px) {
    Probability out;
    ProbabilityResizer().resize(probability, width_px, height_px, out);
    return out;
}

void to_mask8(const Probability& probability, Mask& mask) {
    mask.width_px = probability.width_px;
    mask.height_px = probability.height_px;
    mask.values.resize(probability.values.size());
    to_bytes(probability.values.data(), mask.values.data(), mask.values.size());
}

Mask to_mask8(const Probability& probability) {
    Mask mask;
    to_mask8(probability, mask);
    return mask;
}

}  // namespace skyedge
