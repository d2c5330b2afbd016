#include "core/mask/apply_fit.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/image/simd.h"

namespace skyedge {
namespace {

constexpr std::size_t kChannels = 3;

// Rows of the four planes, enlarged to the image's width. Keeps two rows of each; the caller interpolates between them.
class WideRows {
public:
    WideRows(const Planes& planes, int factor, int width_px)
        : planes_(&planes), widen_(planes[0].width_px, factor, width_px), width_px_(width_px) {
        for (std::size_t i = 0; i < 2; ++i) {
            rows_[i].resize(planes.size() * static_cast<std::size_t>(width_px));
        }
    }

    // Row y of each of the four small planes, one after another.
    const float* at(int y) {
        const auto slot = static_cast<std::size_t>(y % 2);  // neighbors never share a slot
        if (held_[slot] != y) {
            for (std::size_t k = 0; k < planes_->size(); ++k) {
                widen_((*planes_)[k].row(y), rows_[slot].data() + k * static_cast<std::size_t>(width_px_));
            }
            held_[slot] = y;
        }
        return rows_[slot].data();
    }

private:
    const Planes* planes_;
    RowEnlarger widen_;
    int width_px_;
    std::array<std::vector<float>, 2> rows_;
    std::array<int, 2> held_{-1, -1};
};

// out = clip(A . I + b), where A and b lie between two rows.
SKYEDGE_SIMD void apply_row(const float* __restrict above, const float* __restrict below, float share,
                            const std::uint8_t* __restrict rgb, float* __restrict out, std::size_t width) {
    for (std::size_t x = 0; x < width; ++x) {
        const float red = above[x] + (below[x] - above[x]) * share;
        const float green = above[width + x] + (below[width + x] - above[width + x]) * share;
        const float blue = above[2 * width + x] + (below[2 * width + x] - above[2 * width + x]) * share;
        const float b = above[3 * width + x] + (below[3 * width + x] - above[3 * width + x]) * share;
        const float p = b + red * static_cast<float>(rgb[3 * x]) + green * static_cast<float>(rgb[3 * x + 1]) +
                        blue * static_cast<float>(rgb[3 * x + 2]);
        out[x] = std::min(std::max(p, 0.0F), 1.0F);
    }
}

}  // namespace

void apply_fit(const Image& image, Planes planes, int factor, Probability& sky) {
    for (std::size_t k = 0; k < kChannels; ++k) {
        for (float& value : planes[k].values) {
            value *= 1.0F / 255.0F;
        }
    }
    sky.width_px = image.width_px;
    sky.height_px = image.height_px;
    const auto width = static_cast<std::size_t>(image.width_px);
    sky.values.resize(width * static_cast<std::size_t>(image.height_px));
    WideRows wide(planes, factor, image.width_px);
    for (int y = 0; y < image.height_px; ++y) {
        const Between rows = between(y, factor, planes[0].height_px);
        const float* above = wide.at(rows.upper);
        const std::size_t at = static_cast<std::size_t>(y) * width;
        apply_row(above, wide.at(rows.lower), rows.share, image.rgb.data() + at * kChannels, sky.values.data() + at,
                  width);
    }
}

}  // namespace skyedge
