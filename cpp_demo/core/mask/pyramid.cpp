#include "core/mask/pyramid.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/image/simd.h"

namespace skyedge {
namespace {

constexpr int kChannels = 3;

std::size_t size_of(int number) { return static_cast<std::size_t>(number); }

int ceil_div(int number, int by) { return (number + by - 1) / by; }

// Adds the channels of `width` groups of `factor` pixels of a row to `sums`; the last group repeats the last pixel.
void add_groups(const std::uint8_t* row, int row_px, int factor, int width, std::uint32_t* sums) {
    const int whole = row_px / factor;
    for (int x = 0; x < whole; ++x) {
        for (int k = 0; k < factor; ++k, row += kChannels) {
            for (int c = 0; c < kChannels; ++c) {
                sums[x * kChannels + c] += row[c];
            }
        }
    }
    for (int x = whole; x < width; ++x) {  // at most one
        const int inside = row_px - x * factor;
        for (int k = 0; k < factor; ++k) {
            for (int c = 0; c < kChannels; ++c) {
                sums[x * kChannels + c] += row[std::min(k, inside - 1) * kChannels + c];
            }
        }
    }
}

// The samples of a line of `size` numbers at (i + 0.5) step - 0.5.
struct Samples {
    std::vector<int> left;
    std::vector<float> share;  // of the right neighbor

    Samples(int count, int size, double step) {
        for (int i = 0; i < count; ++i) {
            const double at = std::clamp((i + 0.5) * step - 0.5, 0.0, static_cast<double>(size - 1));
            left.push_back(std::min(static_cast<int>(at), std::max(size - 2, 0)));
            share.push_back(static_cast<float>(at - left.back()));
        }
    }
};

// out = (a + 3 b + 3 c + d) / 8
SKYEDGE_SIMD void blur_rows(const float* __restrict a, const float* __restrict b, const float* __restrict c,
                            const float* __restrict d, float* __restrict out, int width_px) {
    for (int x = 0; x < width_px; ++x) {
        out[x] = 0.125F * (a[x] + d[x]) + 0.375F * (b[x] + c[x]);
    }
}

Plane halve(const Plane& plane) {
    Plane out((plane.width_px + 1) / 2, (plane.height_px + 1) / 2);
    const std::vector<float> nothing(size_of(plane.width_px), 0.0F);
    // One zero before the row and two after it.
    std::vector<float> line(size_of(plane.width_px) + 3, 0.0F);
    const auto row = [&](int y) { return y < 0 || y >= plane.height_px ? nothing.data() : plane.row(y); };
    for (int y = 0; y < out.height_px; ++y) {
        blur_rows(row(2 * y - 1), row(2 * y), row(2 * y + 1), row(2 * y + 2), line.data() + 1, plane.width_px);
        float* to = out.row(y);
        const float* from = line.data();
        for (int x = 0; x < out.width_px; ++x, from += 2) {
            to[x] = 0.125F * (from[0] + from[3]) + 0.375F * (from[1] + from[2]);
        }
    }
    return out;
}

SKYEDGE_SIMD void blend(const float* __restrict above, const float* __restrict below, float share,
                        float* __restrict out, int width_px) {
    for (int x = 0; x < width_px; ++x) {
        out[x] = above[x] + (below[x] - above[x]) * share;
    }
}

// Enlarges by `factor`, cropped to width_px x height_px.
Plane enlarge(const Plane& plane, int factor, int width_px, int height_px) {
    Plane out(width_px, height_px);
    const RowEnlarger widen(plane.width_px, factor, width_px);
    Plane wide(width_px, std::min(plane.height_px, (height_px - 1) / factor + 2));
    for (int y = 0; y < wide.height_px; ++y) {
        widen(plane.row(y), wide.row(y));
    }
    for (int y = 0; y < height_px; ++y) {
        const Between rows = between(y, factor, plane.height_px);
        blend(wide.row(rows.upper), wide.row(rows.lower), rows.share, out.row(y), width_px);
    }
    return out;
}

}  // namespace

Image shrink(const Image& image, int factor) {
    if (factor == 1) {
        return image;
    }
    Image out{ceil_div(image.width_px, factor), ceil_div(image.height_px, factor), {}};
    const std::size_t row_bytes = size_of(out.width_px) * kChannels;
    out.rgb.resize(row_bytes * size_of(out.height_px));
    std::vector<std::uint32_t> sums(row_bytes);
    const auto area = static_cast<std::uint32_t>(factor * factor);
    for (int y = 0; y < out.height_px; ++y) {
        std::fill(sums.begin(), sums.end(), area / 2);  // rounds the division below
        for (int k = 0; k < factor; ++k) {
            const int from_y = std::min(y * factor + k, image.height_px - 1);
            add_groups(image.rgb.data() + size_of(from_y) * size_of(image.width_px) * kChannels, image.width_px, factor,
                       out.width_px, sums.data());
        }
        std::transform(sums.begin(), sums.end(), out.rgb.begin() + static_cast<std::ptrdiff_t>(size_of(y) * row_bytes),
                       [&](std::uint32_t sum) { return static_cast<std::uint8_t>(sum / area); });
    }
    return out;
}

Plane to_working(const Probability& probability, int width_px, int height_px, int factor) {
    Plane out(ceil_div(width_px, factor), ceil_div(height_px, factor));
    const auto step = [&](int size, int whole) { return static_cast<double>(factor) * size / whole; };
    const Samples columns(out.width_px, probability.width_px, step(probability.width_px, width_px));
    const Samples rows(out.height_px, probability.height_px, step(probability.height_px, height_px));
    const int right = probability.width_px > 1 ? 1 : 0;
    const std::size_t below = probability.height_px > 1 ? size_of(probability.width_px) : 0;
    for (int y = 0; y < out.height_px; ++y) {
        const float* row = probability.values.data() + size_of(rows.left[size_of(y)]) * size_of(probability.width_px);
        const float share = rows.share[size_of(y)];
        for (int x = 0; x < out.width_px; ++x) {
            const float* at = row + columns.left[size_of(x)];
            const float left = at[0] + (at[below] - at[0]) * share;
            const float next = at[right] + (at[below + size_of(right)] - at[right]) * share;
            out.row(y)[x] = std::clamp(left + (next - left) * columns.share[size_of(x)], 0.0F, 1.0F);
        }
    }
    return out;
}

Plane down(Plane plane, int halvings) {
    for (int i = 0; i < halvings; ++i) {
        plane = halve(plane);
    }
    return plane;
}

Plane up(Plane plane, int halvings, int width_px, int height_px) {
    while (halvings > 0) {
        const int step = std::min(2, halvings);
        halvings -= step;
        const int factor = 1 << step;
        // Only the requested size is needed, and a margin for the next steps.
        const auto needed = [&](int now, int wanted) {
            return std::min(now * factor, ceil_div(wanted, 1 << halvings) + (halvings > 0 ? 1 : 0));
        };
        const int width = needed(plane.width_px, width_px);
        const int height = needed(plane.height_px, height_px);
        plane = enlarge(plane, factor, width, height);
    }
    return plane;
}

RowEnlarger::RowEnlarger(int width_px, int factor, int wide_px)
    : width_px_(width_px), factor_(factor), wide_px_(wide_px) {
    // Of the `factor` pixels of a source pixel, number factor / 2 is the first at or after its center.
    for (int k = 0; k < factor; ++k) {
        const double at = (factor / 2 + k + 0.5) / factor - 0.5;
        shares_.push_back(static_cast<float>(at));
    }
}

void RowEnlarger::operator()(const float* row, float* wide) const {
    const int head = std::min(factor_ / 2, wide_px_);
    std::fill_n(wide, head, row[0]);
    int x = head;
    for (int i = 0; i + 1 < width_px_ && x < wide_px_; ++i) {
        const float slope = row[i + 1] - row[i];
        const int count = std::min(factor_, wide_px_ - x);
        for (int k = 0; k < count; ++k) {
            wide[x + k] = row[i] + slope * shares_[static_cast<std::size_t>(k)];
        }
        x += count;
    }
    std::fill(wide + x, wide + wide_px_, row[width_px_ - 1]);
}

Between between(int y, int factor, int height_px) {
    const double at = std::clamp((y + 0.5) / factor - 0.5, 0.0, static_cast<double>(height_px - 1));
    const int upper = static_cast<int>(at);
    return {upper, std::min(upper + 1, height_px - 1), static_cast<float>(at - upper)};
}

}  // namespace skyedge
