#include "core/stream/track.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/mask/pyramid.h"

namespace skyedge {
namespace {

constexpr int kMostLevels = 4, kLeastSidePx = 24, kRounds = 15;
constexpr int kMarginPx = 2;  // darkened by halving, so it tells nothing
constexpr double kStillPx = 0.005;
constexpr double kLeastSpread = 1.5;  // gray levels: rounding and noise
constexpr double kLeastInside = 0.3;  // share of pixels that must have a place in the previous frame

// A motion as displacements, in pixels: x moves by p0 u + p1 v + p2 and y by p3 u + p4 v + p5, where u and v go from -1 to 1 along
// the longer side.
using Affine = std::array<double, 6>;

struct Center {
    double x, y, reach;

    explicit Center(const Gray& gray)
        : x((gray.width - 1) / 2.0), y((gray.height - 1) / 2.0), reach(std::max(gray.width, gray.height) / 2.0) {}
};

Gray view(const Plane& plane) { return {plane.width_px, plane.height_px, plane.values.data()}; }

// Solves m x = r for a symmetric m by L D L^T in place; false where m is singular.
bool solve(std::array<Affine, 6>& m, Affine& r) {
    const std::size_t n = r.size();
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            const double factor = m[i][j] / m[j][j];
            for (std::size_t k = j; k < n; ++k) {
                m[i][k] -= factor * m[j][k];
            }
            r[i] -= factor * r[j];
        }
        if (!(m[i][i] > 1e-6)) {
            return false;
        }
    }
    for (std::size_t i = n; i-- > 0;) {
        for (std::size_t k = i + 1; k < n; ++k) {
            r[i] -= m[i][k] * r[k];
        }
        r[i] /= m[i][i];
    }
    return true;
}

// One pixel of the new frame: its difference to the place in the previous frame that `way` gives it, and how that changes with `way`.
struct Sample {
    double apart;
    Affine slope;
};

// Improves `way` between two images of one size; false where they do not tell the motion.
bool align(const Gray& before, const Gray& gray, int margin, Affine& way) {
    const Center center(gray);
    const auto inner = static_cast<double>((gray.width - 2 * margin) * (gray.height - 2 * margin));
    std::vector<Sample> samples;
    std::vector<double> sizes;
    for (int round = 0; round < kRounds; ++round) {
        samples.clear();
        sizes.clear();
        for (int y = margin; y < gray.height - margin; ++y) {
            const double v = (y - center.y) / center.reach;
            for (int x = margin; x < gray.width - margin; ++x) {
                const double u = (x - center.x) / center.reach;
                const double from_x = x + way[0] * u + way[1] * v + way[2], from_y = y + way[3] * u + way[4] * v + way[5];
                if (from_x < margin || from_y < margin || from_x > gray.width - 1 - margin || from_y > gray.height - 1 - margin) {
                    continue;
                }
                const double dx = (gray.at(x + 1, y) - gray.at(x - 1, y)) / 2.0, dy = (gray.at(x, y + 1) - gray.at(x, y - 1)) / 2.0;
                samples.push_back({gray.at(x, y) - before.between(from_x, from_y), {dx * u, dx * v, dx, dy * u, dy * v, dy}});
                sizes.push_back(std::abs(samples.back().apart));
            }
        }
        if (static_cast<double>(samples.size()) < kLeastInside * inner) {
            return false;
        }
        const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
        std::nth_element(sizes.begin(), middle, sizes.end());
        const double spread = std::max(3 * *middle, kLeastSpread);
        std::array<Affine, 6> matrix{};
        Affine step{};
        for (const Sample& sample : samples) {
            const double share = sample.apart / spread;
            const double weight = 1 / ((1 + share * share) * (1 + share * share));
            for (std::size_t i = 0; i < step.size(); ++i) {
                step[i] += weight * sample.slope[i] * sample.apart;
                for (std::size_t j = i; j < step.size(); ++j) {
                    matrix[i][j] += weight * sample.slope[i] * sample.slope[j];
                }
            }
        }
        for (std::size_t i = 0; i < step.size(); ++i) {
            for (std::size_t j = 0; j < i; ++j) {
                matrix[i][j] = matrix[j][i];
            }
        }
        if (!solve(matrix, step)) {
            return false;
        }
        double most = 0;
        for (std::size_t i = 0; i < step.size(); ++i) {
            way[i] += step[i];
            most = std::max(most, std::abs(step[i]));
        }
        if (most < kStillPx) {
            break;
        }
    }
    return true;
}

}  // namespace

float Gray::between(double x, double y) const {
    const double left = std::floor(x), top = std::floor(y);
    const auto u = static_cast<float>(x - left), v = static_cast<float>(y - top);
    const int column = static_cast<int>(std::clamp(left, -2.0, width + 1.0));
    const int row = static_cast<int>(std::clamp(top, -2.0, height + 1.0));
    const float above = at(column, row) * (1 - u) + at(column + 1, row) * u;
    const float below = at(column, row + 1) * (1 - u) + at(column + 1, row + 1) * u;
    return above * (1 - v) + below * v;
}

std::optional<Motion> track_affine(const Gray& before, const Gray& gray) {
    std::vector<std::array<Plane, 2>> levels(1);  // the previous frame and the new one
    for (const std::size_t i : {0U, 1U}) {
        const Gray& from = i == 0 ? before : gray;
        levels[0][i] = Plane(from.width, from.height);
        std::copy_n(from.values, levels[0][i].values.size(), levels[0][i].values.begin());
    }
    while (levels.size() < kMostLevels && std::min(levels.back()[0].width_px, levels.back()[0].height_px) >= 2 * kLeastSidePx) {
        levels.push_back({down(levels.back()[0], 1), down(levels.back()[1], 1)});
    }
    Affine way{};
    for (std::size_t i = levels.size(); i-- > 0;) {
        if (!align(view(levels[i][0]), view(levels[i][1]), i == 0 ? 0 : kMarginPx, way)) {
            return std::nullopt;
        }
        if (i > 0) {
            std::for_each(way.begin(), way.end(), [](double& px) { px *= 2; });
        }
    }
    const Center center(gray);
    const double r = center.reach;
    const auto shift = [&](double along_x, double along_y) { return (along_x * center.x + along_y * center.y) / r; };
    return Motion{1 + way[0] / r, way[1] / r, way[2] - shift(way[0], way[1]),
                  way[3] / r, 1 + way[4] / r, way[5] - shift(way[3], way[4])};
}

}  // namespace skyedge
