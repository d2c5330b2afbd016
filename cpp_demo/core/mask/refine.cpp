#include "skyedge/refine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "core/mask/apply_fit.h"
#include "core/mask/color_density.h"
#include "core/mask/pyramid.h"

namespace skyedge {
namespace {

// Constants have the names and values of edge_runtime/masks/refine.py, which cites their sources.
constexpr int kWorkSidePx = 1024, kGridSide = 32;
constexpr float kEps = 0.01F, kSigma = 0.02F;
constexpr float kLow = 0.3F, kHigh = 0.5F, kBias = 0.8F, kConfidenceFloor = 0.01F;
constexpr float kUnsure = 0.01F, kRaise = 9.0F, kLower = 99.0F, kRare = 1e-4F;
constexpr float kOpinion = 0.05F, kWrongFrom = 0.05F, kWrongTo = 0.2F;
constexpr float kExplainedFrom = 0.1F, kExplainedTo = 0.5F, kQuiet = 0.01F;
constexpr float kFaint = 0.1F, kDistinct = 0.2F, kStill = 0.005F;
constexpr float kVague = 0.2F, kVivid = 0.4F, kSeen = 0.2F, kEvidence = 0.01F, kClear = 0.45F;
constexpr std::size_t kChannels = 3;

// 0 below `start`, 1 above `stop`, smooth between.
float smooth_step(float x, float start, float stop) {
    const float t = std::clamp((x - start) / (stop - start), 0.0F, 1.0F);
    return t * t * (3 - 2 * t);
}

// How much a probability counts, 0.01 to 1.
float confidence(float p) {
    const float x = std::max(std::max((kLow - p) / kLow, (p - kHigh) / (1 - kHigh)), 0.0F);
    return std::max(x / ((1 / kBias - 2) * (1 - x) + 1), kConfidenceFloor);
}

template <class Function>
Plane map(const Plane& like, const Function& function) {
    Plane out(like.width_px, like.height_px);
    for (std::size_t i = 0; i < out.values.size(); ++i) {
        out.values[i] = function(i);
    }
    return out;
}

// The working image, 0..1, a plane for each channel.
std::array<Plane, kChannels> to_planes(const Image& guide) {
    std::array<Plane, kChannels> color;
    for (std::size_t c = 0; c < kChannels; ++c) {
        color[c] = Plane(guide.width_px, guide.height_px);
        for (std::size_t i = 0; i < color[c].values.size(); ++i) {
            color[c].values[i] = static_cast<float>(guide.rgb[i * kChannels + c]) / 255.0F;
        }
    }
    return color;
}

// The input of all steps: the working image, and the network's probability at its size.
struct Scene {
    Image guide;
    std::array<Plane, kChannels> color;
    Plane p;
    int halvings = 0;

    Plane to_grid(Plane plane) const { return down(std::move(plane), halvings); }
    Plane from_grid(Plane plane) const { return up(std::move(plane), halvings, p.width_px, p.height_px); }
};

// For each cell of the grid, how color and probability vary together, by the network alone.
struct Moves {
    Plane length;    // of cov(I, p)
    Plane variance;  // of p

    // The change of color from p = 0 to p = 1: the contrast of sky and the rest. `unknown` where p is nearly constant.
    float contrast(std::size_t cell, float unknown) const {
        return (length.values[cell] + kStill * unknown) / (variance.values[cell] + kStill);
    }
};

Moves find_moves(const Scene& scene) {
    const std::vector<float>& p = scene.p.values;
    const Plane weight = map(scene.p, [&](std::size_t i) { return confidence(p[i]); });
    const Plane total = scene.to_grid(weight);
    const auto sum = [&](const auto& value) {
        return scene.to_grid(map(weight, [&](std::size_t i) { return weight.values[i] * value(i); }));
    };
    const Plane sum_p = sum([&](std::size_t i) { return p[i]; });
    const Plane sum_pp = sum([&](std::size_t i) { return p[i] * p[i]; });
    Plane squared(total.width_px, total.height_px);
    for (const Plane& color : scene.color) {
        const Plane with_p = sum([&](std::size_t i) { return color.values[i] * p[i]; });
        const Plane alone = sum([&](std::size_t i) { return color.values[i]; });
        for (std::size_t i = 0; i < squared.values.size(); ++i) {
            const float mean_p = sum_p.values[i] / total.values[i];
            const float covariance = (with_p.values[i] - alone.values[i] * mean_p) / total.values[i];
            squared.values[i] += covariance * covariance;
        }
    }
    return {map(total, [&](std::size_t i) { return std::sqrt(squared.values[i]); }), map(total, [&](std::size_t i) {
                const float mean_p = sum_p.values[i] / total.values[i];
                return std::max(sum_pp.values[i] / total.values[i] - mean_p * mean_p, 0.0F);
            })};
}

// The weight of the prediction `said` at every pixel, 0 to 1: how well it agrees with known pixels nearby. Where `said`
// would raise p, the known pixels are those that are not sky; where it would lower p, those that are sky.
template <class Raises>
Plane trust(const Scene& scene, const Plane& said, const Raises& raises) {
    const auto asked = [&](const auto& known, const auto& wrong) {
        const Plane total = scene.to_grid(map(scene.p, [&](std::size_t i) { return known(i) ? 1.0F : 0.0F; }));
        const Plane bad = scene.to_grid(map(scene.p, [&](std::size_t i) { return known(i) ? wrong(i) : 0.0F; }));
        return scene.from_grid(map(total, [&](std::size_t i) {
            return smooth_step(bad.values[i] / (total.values[i] + 1e-3F), kWrongFrom, kWrongTo);
        }));
    };
    const std::vector<float>& p = scene.p.values;
    const Plane raising =
        asked([&](std::size_t i) { return p[i] < kOpinion; }, [&](std::size_t i) { return said.values[i]; });
    const Plane lowering =
        asked([&](std::size_t i) { return p[i] > 1 - kOpinion; }, [&](std::size_t i) { return 1 - said.values[i]; });
    return map(scene.p, [&](std::size_t i) { return 1 - (raises(i) ? raising : lowering).values[i]; });
}

// Classifies the uncertain pixels by the colors of the certain ones, where sky and the rest differ clearly in color.
Plane by_density(const Scene& scene, const Moves& apart) {
    constexpr std::size_t kBins = std::size_t{kColorBins} * kColorBins * kColorBins;
    const std::vector<float>& p = scene.p.values;
    std::vector<std::uint32_t> sky_counts(kBins), other_counts(kBins);
    std::vector<std::uint32_t> bins(p.size());
    std::size_t sky = 0, other = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
        bins[i] = static_cast<std::uint32_t>(color_bin(scene.guide.rgb.data() + i * kChannels));
        if (p[i] > 1 - kUnsure) {
            ++sky_counts[bins[i]];
            ++sky;
        } else if (p[i] < kUnsure) {
            ++other_counts[bins[i]];
            ++other;
        }
    }
    if (sky == 0 || sky + other == p.size()) {
        return scene.p;
    }
    std::vector<float> ratio = color_density(sky_counts, sky, kSigma);
    const std::vector<float> against =
        other > 0 ? color_density(other_counts, other, kSigma) : std::vector<float>(kBins);
    for (std::size_t i = 0; i < kBins; ++i) {
        ratio[i] = (ratio[i] + kRare) / (against[i] + kRare);
    }
    Plane decided = map(scene.p, [&](std::size_t i) {
        const bool sure = p[i] > 1 - kUnsure || p[i] < kUnsure;
        const float odds = std::clamp(ratio[bins[i]], 1 / kLower, kRaise) * p[i];
        return sure ? p[i] : odds / (odds + 1 - p[i]);
    });
    const Plane by_color = map(scene.p, [&](std::size_t i) { return ratio[bins[i]] / (1 + ratio[bins[i]]); });
    const Plane believed = trust(scene, by_color, [&](std::size_t i) { return decided.values[i] > p[i]; });
    const Plane share = scene.from_grid(
        map(apart.length, [&](std::size_t i) { return smooth_step(apart.contrast(i, kVivid), kVague, kVivid); }));
    for (std::size_t i = 0; i < p.size(); ++i) {
        decided.values[i] = p[i] + share.values[i] * believed.values[i] * (decided.values[i] - p[i]);
    }
    return decided;
}

// The linear fit p = A . I + b of the probability to the colors, for every cell of the grid.
struct Fit {
    Planes planes;
    Plane explained;  // share of the variance of p that A . I explains
};

// M x = r for a symmetric positive definite M (M00, M01, M02, M11, M12, M22), in closed form by M = L D L^T.
std::array<float, 3> solve_symmetric(const std::array<float, 6>& m, const std::array<float, 3>& r) {
    const float l10 = m[1] / m[0], l20 = m[2] / m[0];
    const float d1 = m[3] - l10 * m[1];
    const float l21 = (m[4] - l20 * m[1]) / d1;
    const float d2 = m[5] - l20 * m[2] - l21 * l21 * d1;
    const float y1 = r[1] - l10 * r[0];
    const float x2 = (r[2] - l20 * r[0] - l21 * y1) / d2;
    const float x1 = y1 / d1 - l21 * x2;
    return {r[0] / m[0] - l10 * x1 - l20 * x2, x1, x2};
}

Fit fit(const Scene& scene, const Plane& target) {
    const Plane weight = map(target, [&](std::size_t i) { return confidence(target.values[i]); });
    const Plane total = scene.to_grid(weight);
    const auto mean = [&](const auto& value) {
        Plane plane = scene.to_grid(map(weight, [&](std::size_t i) { return weight.values[i] * value(i); }));
        for (std::size_t i = 0; i < plane.values.size(); ++i) {
            plane.values[i] /= total.values[i];
        }
        return plane;
    };
    const auto product = [&](const Plane& a, const Plane& b) {
        return mean([&](std::size_t i) { return a.values[i] * b.values[i]; });
    };
    const std::array<Plane, kChannels>& color = scene.color;
    const Plane mean_p = mean([&](std::size_t i) { return target.values[i]; });
    const Plane square_p = product(target, target);
    std::array<Plane, kChannels> mean_color, color_p;
    std::array<Plane, 6> pairs;  // M00, M01, M02, M11, M12, M22
    std::size_t pair = 0;
    for (std::size_t a = 0; a < kChannels; ++a) {
        mean_color[a] = mean([&](std::size_t i) { return color[a].values[i]; });
        color_p[a] = product(color[a], target);
        for (std::size_t b = a; b < kChannels; ++b) {
            pairs[pair++] = product(color[a], color[b]);
        }
    }
    Fit result;
    result.planes.fill(Plane(total.width_px, total.height_px));
    result.explained = Plane(total.width_px, total.height_px);
    for (std::size_t i = 0; i < total.values.size(); ++i) {
        const std::array<float, 3> c{mean_color[0].values[i], mean_color[1].values[i], mean_color[2].values[i]};
        const float p = mean_p.values[i];
        const auto covariance = [&](std::size_t at, std::size_t a, std::size_t b) {
            return pairs[at].values[i] - c[a] * c[b] + (a == b ? kEps * kEps : 0.0F);
        };
        const std::array<float, 6> m{covariance(0, 0, 0), covariance(1, 0, 1), covariance(2, 0, 2),
                                     covariance(3, 1, 1), covariance(4, 1, 2), covariance(5, 2, 2)};
        std::array<float, 3> r{};
        for (std::size_t k = 0; k < kChannels; ++k) {
            r[k] = color_p[k].values[i] - c[k] * p;
        }
        const std::array<float, 3> a = solve_symmetric(m, r);
        float b = p, by_color = kQuiet;
        for (std::size_t k = 0; k < kChannels; ++k) {
            result.planes[k].values[i] = a[k];
            b -= a[k] * c[k];
            by_color += a[k] * r[k];
        }
        result.planes[3].values[i] = b;
        result.explained.values[i] = by_color / (std::max(square_p.values[i] - p * p, 0.0F) + kQuiet);
    }
    return result;
}

// For each cell of the grid, 0 to 1: whether sky and the rest differ in color, and enough pixels of both are known.
Plane distinct(const Scene& scene, const Moves& apart, const Plane& target) {
    const auto samples = [&](const auto& seen) {
        return scene.to_grid(map(target, [&](std::size_t i) { return seen(target.values[i]) ? 1.0F : 0.0F; }));
    };
    const Plane others = samples([](float p) { return p < kSeen; });
    const Plane skies = samples([](float p) { return p > 1 - kSeen; });
    return map(others, [&](std::size_t i) {
        const float contrast = apart.contrast(i, kDistinct);
        const float clear = std::min(contrast, kClear);
        const float evidence = std::min(others.values[i], skies.values[i]) * clear * clear;
        return smooth_step(contrast, kFaint, kDistinct) * smooth_step(evidence, 0.0F, kEvidence);
    });
}

// A and b at the working size; where the guard's weight is low, blended with the network's probability.
Planes guarded(const Scene& scene, const Moves& apart, const Plane& target) {
    Fit found = fit(scene, target);
    const Plane told = distinct(scene, apart, target);
    const Plane share = scene.from_grid(map(told, [&](std::size_t i) {
        return smooth_step(found.explained.values[i], kExplainedFrom, kExplainedTo) * told.values[i];
    }));
    Planes planes;
    for (std::size_t k = 0; k < planes.size(); ++k) {
        planes[k] = scene.from_grid(std::move(found.planes[k]));
    }
    const Plane fitted = map(scene.p, [&](std::size_t i) {
        float sum = planes[3].values[i];
        for (std::size_t k = 0; k < kChannels; ++k) {
            sum += planes[k].values[i] * scene.color[k].values[i];
        }
        return std::clamp(sum, 0.0F, 1.0F);
    });
    const std::vector<float>& p = scene.p.values;
    const Plane believed = trust(scene, fitted, [&](std::size_t i) { return fitted.values[i] > p[i]; });
    for (std::size_t i = 0; i < p.size(); ++i) {
        const float by = share.values[i] * believed.values[i];
        for (Plane& plane : planes) {
            plane.values[i] *= by;
        }
        planes[3].values[i] += (1 - by) * p[i];
    }
    return planes;
}

Failure check(const Image& image, const Probability& low_res) {
    const auto count = [](int width, int height) {
        return static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    };
    if (image.width_px < 1 || image.height_px < 1 ||
        image.rgb.size() != kChannels * count(image.width_px, image.height_px)) {
        return Error{"got " + std::to_string(image.rgb.size()) + " bytes for an image of " +
                     std::to_string(image.width_px) + " x " + std::to_string(image.height_px) +
                     " pixels, expected at least one pixel and three bytes for each"};
    }
    if (low_res.width_px < 1 || low_res.height_px < 1 ||
        low_res.values.size() != count(low_res.width_px, low_res.height_px)) {
        return Error{"got a probability without pixels, expected one over the whole image"};
    }
    if (!std::all_of(low_res.values.begin(), low_res.values.end(), [](float p) { return p >= 0.0F && p <= 1.0F; })) {
        return Error{"got a probability that leaves 0..1, expected none; divide 8-bit masks by 255, and look for NaN"};
    }
    return std::nullopt;
}

}  // namespace

Failure refine(const Image& image, const Probability& low_res, Probability& sky) {
    if (Failure failure = check(image, low_res)) {
        return failure;
    }
    try {
        const int factor = (std::max(image.width_px, image.height_px) + kWorkSidePx - 1) / kWorkSidePx;
        Scene scene;
        scene.guide = shrink(image, factor);
        scene.color = to_planes(scene.guide);
        scene.p = to_working(low_res, image.width_px, image.height_px, factor);
        const double cells = static_cast<double>(std::max(scene.p.width_px, scene.p.height_px)) / kGridSide;
        scene.halvings = std::max(2, static_cast<int>(std::nearbyint(std::log2(cells))));
        const Moves apart = find_moves(scene);
        apply_fit(image, guarded(scene, apart, by_density(scene, apart)), factor, sky);
        return std::nullopt;
    } catch (const std::exception& error) {  // out of memory
        return Error{std::string("cannot refine the mask: ") + error.what()};
    }
}

}  // namespace skyedge
