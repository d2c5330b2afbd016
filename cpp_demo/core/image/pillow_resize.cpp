#include "core/image/pillow_resize.h"

#include <algorithm>
#include <cmath>

#include "core/image/lanes.h"
#include "core/image/simd.h"

namespace skyedge {
namespace {

constexpr int kOutBytes = 4;
// 32 bits hold 8 bits of pixel, 2 of headroom and 22 of weight.
constexpr int kWeightBits = 32 - 8 - 2;
constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

std::size_t size_of(int number) { return static_cast<std::size_t>(number); }

// Resizes kRows rows at once with the same weights.
template <int kRows, int kInBytes>
inline void resize_rows(const PixelRows& in, const LineFilter& filter, std::uint8_t* out, std::size_t out_stride) {
    const std::int32_t* weights = filter.weights.data();
    const int* first = filter.first.data();
    const int taps = filter.taps;
    for (int x = 0; x < filter.out_px; ++x, weights += taps) {
        Lanes sums[kRows];
        const std::uint8_t* pixel[kRows];
        for (int r = 0; r < kRows; ++r) {
            sums[r] = all_lanes(kHalf);
            pixel[r] = in.data + static_cast<std::size_t>(r) * in.stride + first[x] * kInBytes;
        }
        for (int k = 0; k < taps; ++k) {
            for (int r = 0; r < kRows; ++r) {
                sums[r] += load_pixel(pixel[r] + k * kInBytes) * weights[k];
            }
        }
        for (int r = 0; r < kRows; ++r) {
            store_pixel(sums[r] >> kWeightBits, out + static_cast<std::size_t>(r) * out_stride + x * kOutBytes);
        }
    }
}

SKYEDGE_SIMD void four_rows_of_3(const PixelRows& in, const LineFilter& filter, std::uint8_t* out,
                                  std::size_t out_stride) {
    resize_rows<4, 3>(in, filter, out, out_stride);
}
SKYEDGE_SIMD void four_rows_of_4(const PixelRows& in, const LineFilter& filter, std::uint8_t* out,
                                  std::size_t out_stride) {
    resize_rows<4, 4>(in, filter, out, out_stride);
}
SKYEDGE_SIMD void one_row_of_3(const PixelRows& in, const LineFilter& filter, std::uint8_t* out,
                                  std::size_t out_stride) {
    resize_rows<1, 3>(in, filter, out, out_stride);
}
SKYEDGE_SIMD void one_row_of_4(const PixelRows& in, const LineFilter& filter, std::uint8_t* out,
                                  std::size_t out_stride) {
    resize_rows<1, 4>(in, filter, out, out_stride);
}

// sums += row * weight, for all bytes of a row.
SKYEDGE_SIMD void add_row(std::int32_t* SKYEDGE_RESTRICT sums, const std::uint8_t* SKYEDGE_RESTRICT row, std::int32_t weight,
                          std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        sums[i] += row[i] * weight;
    }
}

SKYEDGE_SIMD void store_row(const std::int32_t* SKYEDGE_RESTRICT sums, std::uint8_t* SKYEDGE_RESTRICT out, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        out[i] = static_cast<std::uint8_t>(std::min(sums[i] >> kWeightBits, 255));
    }
}

}  // namespace

// Pillow's double arithmetic in Pillow's order: another order changes some weights by one unit, and so some pixels.
void LineFilter::prepare(int in, int out) {
    if (in == in_px && out == out_px) {
        return;
    }
    in_px = in;
    out_px = out;
    const double scale = static_cast<double>(in_px) / out_px;
    const double support = std::max(scale, 1.0);  // half the filter's width, in input pixels
    const double per_input = 1.0 / support;
    const auto first_of = [&](double center) { return std::max(0, static_cast<int>(center - support + 0.5)); };
    const auto last_of = [&](double center) { return std::min(in_px, static_cast<int>(center + support + 0.5)); };
    // Every output pixel has the same number of taps, some of them 0, so that the loops have no branch.
    taps = 0;
    for (int i = 0; i < out_px; ++i) {
        const double center = (i + 0.5) * scale;
        taps = std::max(taps, last_of(center) - first_of(center));
    }
    first.assign(size_of(out_px), 0);
    weights.assign(size_of(out_px) * size_of(taps), 0);
    std::vector<double> heights;
    for (int i = 0; i < out_px; ++i) {
        const double center = (i + 0.5) * scale;
        const int begin = first_of(center);
        heights.clear();
        double sum = 0.0;
        for (int k = begin; k < last_of(center); ++k) {
            const double distance = std::abs((k - center + 0.5) * per_input);
            heights.push_back(distance < 1.0 ? 1.0 - distance : 0.0);
            sum += heights.back();
        }
        first[size_of(i)] = std::min(begin, in_px - taps);  // stays inside the line
        std::int32_t* weight = weights.data() + size_of(i) * size_of(taps) + (begin - first[size_of(i)]);
        for (const double height : heights) {
            const double share = sum != 0.0 ? height / sum : height;
            // Weights are not negative, so adding 0.5 and truncating rounds halves up.
            *weight++ = static_cast<std::int32_t>(0.5 + share * (1 << kWeightBits));
        }
    }
}

void RowResizer::resize_columns(RowSource& source, int in_width, int in_height, int out_width) {
    columns_.prepare(in_width, out_width);
    wide_stride_ = size_of(out_width) * kOutBytes;
    wide_.resize(wide_stride_ * size_of(in_height));
    for (int top = 0; top < in_height; top += kStripRows) {
        const int count = std::min(kStripRows, in_height - top);
        PixelRows rows = source.rows(top, count);
        std::uint8_t* out = wide_.data() + size_of(top) * wide_stride_;
        for (int done = 0, step = 0; done < count; done += step) {
            step = count - done >= 4 ? 4 : 1;
            if (step == 4) {
                (rows.pixel_bytes == 3 ? four_rows_of_3 : four_rows_of_4)(rows, columns_, out, wide_stride_);
            } else {
                (rows.pixel_bytes == 3 ? one_row_of_3 : one_row_of_4)(rows, columns_, out, wide_stride_);
            }
            rows.data += size_of(step) * rows.stride;
            out += size_of(step) * wide_stride_;
        }
    }
}

const std::uint8_t* RowResizer::resize_row(int y) {
    // Whole rows at a time, so that memory is read in order.
    sums_.assign(wide_stride_, kHalf);
    row_.resize(wide_stride_);
    const std::int32_t* weights = rows_.weights.data() + size_of(y) * size_of(rows_.taps);
    for (int k = 0; k < rows_.taps; ++k) {
        add_row(sums_.data(), wide_.data() + size_of(rows_.first[size_of(y)] + k) * wide_stride_, weights[k],
                wide_stride_);
    }
    store_row(sums_.data(), row_.data(), wide_stride_);
    return row_.data();
}

}  // namespace skyedge
