#include "core/mask/color_density.h"

#include <algorithm>
#include <cmath>

#include "core/image/simd.h"

namespace skyedge {
namespace {

constexpr double kBinLevels = 256.0 / kColorBins;
constexpr double kPi = 3.14159265358979323846;

// A Gaussian whose peak is 1. Its variance is reduced by that of two roundings to bins, 1/12 each.
std::vector<float> gaussian(double sigma_bins) {
    const int reach = static_cast<int>(std::ceil(4 * sigma_bins));
    std::vector<float> kernel;
    float sum = 0.0F;
    for (int at = -reach; at <= reach; ++at) {
        kernel.push_back(static_cast<float>(std::exp(-0.5 * at * at / (sigma_bins * sigma_bins - 2.0 / 12.0))));
        sum += kernel.back();
    }
    const float scale = static_cast<float>(std::sqrt(2 * kPi) * sigma_bins) / sum;
    std::for_each(kernel.begin(), kernel.end(), [&](float& weight) { weight *= scale; });
    return kernel;
}

SKYEDGE_SIMD void add_scaled(const float* __restrict from, float weight, float* __restrict to, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        to[i] += weight * from[i];
    }
}

// Blurs along the axis whose bins are `stride` apart, in blocks of kColorBins * stride. Skips empty rows: most colors do
// not occur in an image.
void blur(std::vector<float>& table, std::size_t stride, const std::vector<float>& kernel) {
    constexpr int kBins = kColorBins;
    const int reach = static_cast<int>(kernel.size() / 2);
    std::vector<float> block(kBins * stride);
    for (std::size_t start = 0; start < table.size(); start += block.size()) {
        float* const out = table.data() + start;
        std::copy_n(out, block.size(), block.begin());
        std::fill_n(out, block.size(), 0.0F);
        for (int from = 0; from < kBins; ++from) {
            const float* const row = block.data() + static_cast<std::size_t>(from) * stride;
            if (std::all_of(row, row + stride, [](float density) { return density == 0.0F; })) {
                continue;
            }
            const int first = std::max(0, from - reach);
            const int last = std::min(kBins - 1, from + reach);
            const float* weight = kernel.data() + (first - from + reach);
            if (stride == 1) {  // along a row of bins
                add_scaled(weight, *row, out + first, static_cast<std::size_t>(last - first + 1));
                continue;
            }
            for (int to = first; to <= last; ++to, ++weight) {
                add_scaled(row, *weight, out + static_cast<std::size_t>(to) * stride, stride);
            }
        }
    }
}

}  // namespace

std::vector<float> color_density(const std::vector<std::uint32_t>& counts, std::size_t samples, float sigma) {
    std::vector<float> table(counts.size());
    const float each = 1.0F / static_cast<float>(samples);
    std::transform(counts.begin(), counts.end(), table.begin(),
                   [&](std::uint32_t count) { return static_cast<float>(count) * each; });
    const std::vector<float> kernel = gaussian(static_cast<double>(sigma) * 255 / kBinLevels);
    for (const std::size_t stride :
         {std::size_t{1}, std::size_t{kColorBins}, std::size_t{kColorBins} * kColorBins}) {
        blur(table, stride, kernel);
    }
    return table;
}

}  // namespace skyedge
