#include "skyedge/image_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/image/frame_input.h"
#include "core/image/pillow_resize.h"
#include "core/image/simd.h"

namespace skyedge {
namespace {

constexpr int kChannels = 3;

// out = above (1 - share) + below share.
SKYEDGE_SIMD void blend_rows(const float* SKYEDGE_RESTRICT above, const float* SKYEDGE_RESTRICT below, float share,
                             float* SKYEDGE_RESTRICT out, std::size_t count) {
    const float rest = 1.0F - share;
    for (std::size_t i = 0; i < count; ++i) {
        out[i] = above[i] * rest + below[i] * share;
    }
}

SKYEDGE_SIMD void to_bytes(const float* SKYEDGE_RESTRICT values, std::uint8_t* SKYEDGE_RESTRICT bytes, std::size_t count) {
    // Floats from 2^23 to 2^24 are integers, so adding kRound rounds, ties to even.
    constexpr float kRound = 12582912.0F;  // 1.5 x 2^23
    for (std::size_t i = 0; i < count; ++i) {
        const float p = std::min(std::max(values[i], 0.0F), 1.0F);
        bytes[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>((p * 255.0F + kRound) - kRound));
    }
}

std::size_t size_of(int number) { return static_cast<std::size_t>(number); }

}  // namespace

Image resize_pillow_bilinear(const Image& image, int width_px, int height_px) {
    Image out{width_px, height_px, std::vector<std::uint8_t>(size_of(width_px) * size_of(height_px) * kChannels)};
    FrameRows rows;
    rows.open(view_of(image));
    std::uint8_t* to = out.rgb.data();
    RowResizer().resize(rows, image.width_px, image.height_px, width_px, height_px, [&](int, const std::uint8_t* row) {
        for (int x = 0; x < width_px; ++x, row += 4, to += kChannels) {
            std::copy_n(row, kChannels, to);
        }
    });
    return out;
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
    const int last = std::max(0, in_px - 2);  // both neighbors exist, unless the line has one pixel
    for (int i = 0; i < out_px; ++i) {
        const auto position = static_cast<float>((i + 0.5) * scale - 0.5);
        const int low = static_cast<int>(std::floor(position));
        first[size_of(i)] = std::clamp(low, 0, last);
        share[size_of(i)] =
            in_px == 1 ? 0.0F : std::clamp(position - static_cast<float>(first[size_of(i)]), 0.0F, 1.0F);
    }
}

template <class RowOf, class Done>
void ProbabilityResizer::each_row(const Probability& probability, int width_px, int height_px, const RowOf& row_of,
                                  const Done& done) {
    columns_.prepare(probability.width_px, width_px);
    rows_.prepare(probability.height_px, height_px);
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
        blend_rows(above_.data(), below_.data(), rows_.share[size_of(y)], row_of(y), size_of(width_px));
        done(y);
    }
}

void ProbabilityResizer::resize(const Probability& probability, int width_px, int height_px, Probability& out) {
    out.width_px = width_px;
    out.height_px = height_px;
    if (width_px == probability.width_px && height_px == probability.height_px) {
        out.values = probability.values;
        return;
    }
    out.values.resize(size_of(width_px) * size_of(height_px));
    each_row(
        probability, width_px, height_px,
        [&](int y) { return out.values.data() + size_of(y) * size_of(width_px); }, [](int) {});
}

void ProbabilityResizer::resize(const Probability& probability, const MaskView& mask) {
    auto* const bytes = static_cast<std::uint8_t*>(mask.data);
    const auto row_at = [&](int y) { return bytes + static_cast<std::ptrdiff_t>(y) * mask.row_stride; };
    const bool deep = mask.format == MaskFormat::kFloat32;
    const std::size_t width = size_of(mask.width_px);
    if (mask.width_px == probability.width_px && mask.height_px == probability.height_px) {
        for (int y = 0; y < mask.height_px; ++y) {
            const float* row = probability.values.data() + size_of(y) * width;
            deep ? static_cast<void>(std::memcpy(row_at(y), row, width * sizeof *row)) : to_bytes(row, row_at(y), width);
        }
        return;
    }
    line_.resize(width);
    each_row(
        probability, mask.width_px, mask.height_px,
        [&](int y) { return deep ? reinterpret_cast<float*>(row_at(y)) : line_.data(); },
        [&](int y) {
            if (!deep) {
                to_bytes(line_.data(), row_at(y), width);
            }
        });
}

Mask enlarged(const Probability& probability, FrameSize size) {
    Mask mask{size.width_px, size.height_px, std::vector<std::uint8_t>(size_of(size.width_px) * size_of(size.height_px))};
    ProbabilityResizer().resize(probability, {mask.values.data(), size.width_px, size.width_px, size.height_px});
    return mask;
}

Mask to_mask8(const Probability& probability) {
    Mask mask{probability.width_px, probability.height_px, std::vector<std::uint8_t>(probability.values.size())};
    to_bytes(probability.values.data(), mask.values.data(), mask.values.size());
    return mask;
}

}  // namespace skyedge
