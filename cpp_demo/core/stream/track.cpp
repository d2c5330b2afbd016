#include "core/stream/track.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace skyedge {
namespace {

// As in edge_runtime/masks/stabilize.py.
constexpr std::size_t kCorners = 150, kFewest = 8;
constexpr float kQuality = 0.01F;
constexpr int kApartPx = 6, kHalfWindow = 7, kLevels = 4, kRounds = 30;
constexpr double kInliers = 0.4, kReachPx = 1.0, kStillPx = 0.01;
constexpr int kTrials = 300;

struct Point {
    double x, y;
};

struct Pair {
    Point to;    // in the new frame
    Point from;  // in the previous frame
};

std::size_t index_of(const Gray& gray, int x, int y) {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(gray.width) + static_cast<std::size_t>(x);
}

// The smaller eigenvalue of the covariance of the gradients over 3 x 3 pixels (Shi & Tomasi).
std::vector<float> corner_strength(const Gray& gray) {
    const std::size_t count = static_cast<std::size_t>(gray.width) * static_cast<std::size_t>(gray.height);
    std::vector<float> dx(count), dy(count), strength(count);
    for (int y = 0; y < gray.height; ++y) {
        for (int x = 0; x < gray.width; ++x) {
            const auto column = [&](int at) { return gray.at(at, y - 1) + 2 * gray.at(at, y) + gray.at(at, y + 1); };
            const auto row = [&](int at) { return gray.at(x - 1, at) + 2 * gray.at(x, at) + gray.at(x + 1, at); };
            dx[index_of(gray, x, y)] = column(x + 1) - column(x - 1);
            dy[index_of(gray, x, y)] = row(y + 1) - row(y - 1);
        }
    }
    const Gray across{gray.width, gray.height, dx.data()}, down{gray.width, gray.height, dy.data()};
    for (int y = 0; y < gray.height; ++y) {
        for (int x = 0; x < gray.width; ++x) {
            float xx = 0, xy = 0, yy = 0;
            for (int v = y - 1; v <= y + 1; ++v) {
                for (int u = x - 1; u <= x + 1; ++u) {
                    const float gx = across.at(u, v), gy = down.at(u, v);
                    xx += gx * gx;
                    xy += gx * gy;
                    yy += gy * gy;
                }
            }
            strength[index_of(gray, x, y)] = (xx + yy) / 2 - std::sqrt((xx - yy) * (xx - yy) / 4 + xy * xy);
        }
    }
    return strength;
}

std::vector<Point> find_corners(const Gray& gray) {
    const std::vector<float> strength = corner_strength(gray);
    const Gray map{gray.width, gray.height, strength.data()};
    const float least = kQuality * *std::max_element(strength.begin(), strength.end());
    struct Corner {
        float strength;
        int x, y;
    };
    std::vector<Corner> found;
    for (int y = 1; y + 1 < gray.height; ++y) {
        for (int x = 1; x + 1 < gray.width; ++x) {
            const float here = map.at(x, y);
            bool peak = here > least && here > 0;
            for (int v = y - 1; peak && v <= y + 1; ++v) {
                for (int u = x - 1; u <= x + 1; ++u) {
                    peak = peak && map.at(u, v) <= here;
                }
            }
            if (peak) {
                found.push_back({here, x, y});
            }
        }
    }
    std::stable_sort(found.begin(), found.end(), [](const Corner& a, const Corner& b) { return a.strength > b.strength; });
    std::vector<Point> corners;
    for (const Corner& corner : found) {
        const auto near = [&](const Point& other) {
            return std::hypot(other.x - corner.x, other.y - corner.y) < kApartPx;
        };
        if (std::none_of(corners.begin(), corners.end(), near)) {
            corners.push_back({static_cast<double>(corner.x), static_cast<double>(corner.y)});
            if (corners.size() == kCorners) {
                break;
            }
        }
    }
    return corners;
}

// Builds a pyramid: each level is blurred by a binomial filter of 5 x 5 taps and halved.
struct Pyramid {
    std::array<std::vector<float>, kLevels> planes;
    std::array<Gray, kLevels> levels;

    explicit Pyramid(const Gray& gray) {
        levels[0] = gray;
        for (std::size_t i = 1; i < levels.size(); ++i) {
            const Gray& above = levels[i - 1];
            Gray& level = levels[i];
            level.width = (above.width + 1) / 2;
            level.height = (above.height + 1) / 2;
            planes[i].reserve(static_cast<std::size_t>(level.width) * static_cast<std::size_t>(level.height));
            for (int y = 0; y < level.height; ++y) {
                for (int x = 0; x < level.width; ++x) {
                    constexpr std::array<float, 5> kTaps{1, 4, 6, 4, 1};
                    float sum = 0;
                    for (int v = 0; v < 5; ++v) {
                        for (int u = 0; u < 5; ++u) {
                            sum += kTaps[static_cast<std::size_t>(u)] * kTaps[static_cast<std::size_t>(v)] *
                                   above.at(2 * x + u - 2, 2 * y + v - 2);
                        }
                    }
                    planes[i].push_back(sum / 256);
                }
            }
            level.values = planes[i].data();
        }
    }
};

// Gray levels and gradients of a window around a point.
struct Window {
    static constexpr int kSide = 2 * kHalfWindow + 1;
    std::array<float, kSide * kSide> level{}, dx{}, dy{};
    double xx = 0, xy = 0, yy = 0;

    Window(const Gray& gray, const Point& center) {
        std::size_t i = 0;
        for (int v = -kHalfWindow; v <= kHalfWindow; ++v) {
            for (int u = -kHalfWindow; u <= kHalfWindow; ++u, ++i) {
                const double x = center.x + u, y = center.y + v;
                level[i] = gray.between(x, y);
                dx[i] = (gray.between(x + 1, y) - gray.between(x - 1, y)) / 2;
                dy[i] = (gray.between(x, y + 1) - gray.between(x, y - 1)) / 2;
                xx += dx[i] * dx[i];
                xy += dx[i] * dy[i];
                yy += dy[i] * dy[i];
            }
        }
    }
};

// Returns the position in `before` that matches the window around `point` in `gray`.
std::optional<Point> follow(const Pyramid& gray, const Pyramid& before, const Point& point) {
    Point shift{0, 0};
    for (int i = kLevels - 1; i >= 0; --i) {
        const Gray& there = before.levels[static_cast<std::size_t>(i)];
        const double scale = 1.0 / (1 << i);
        const Point here{point.x * scale, point.y * scale};
        shift = {shift.x * (i == kLevels - 1 ? 1 : 2), shift.y * (i == kLevels - 1 ? 1 : 2)};
        const Window window(gray.levels[static_cast<std::size_t>(i)], here);
        const double determinant = window.xx * window.yy - window.xy * window.xy;
        const double spread = (window.xx + window.yy) / 2;
        const double smaller = spread - std::sqrt(std::max(0.0, spread * spread - determinant));
        if (smaller < 1e-2 * Window::kSide * Window::kSide) {  // no texture to track
            if (i == 0) {
                return std::nullopt;
            }
            continue;
        }
        for (int round = 0; round < kRounds; ++round) {
            double bx = 0, by = 0;
            std::size_t at = 0;
            for (int v = -kHalfWindow; v <= kHalfWindow; ++v) {
                for (int u = -kHalfWindow; u <= kHalfWindow; ++u, ++at) {
                    const float apart = window.level[at] - there.between(here.x + shift.x + u, here.y + shift.y + v);
                    bx += apart * window.dx[at];
                    by += apart * window.dy[at];
                }
            }
            const double sx = (window.yy * bx - window.xy * by) / determinant;
            const double sy = (window.xx * by - window.xy * bx) / determinant;
            shift = {shift.x + sx, shift.y + sy};
            if (std::hypot(sx, sy) < kStillPx) {
                break;
            }
        }
    }
    const Point found{point.x + shift.x, point.y + shift.y};
    const Gray& whole = before.levels[0];
    const bool inside = found.x >= 0 && found.y >= 0 && found.x <= whole.width - 1 && found.y <= whole.height - 1;
    return inside ? std::optional(found) : std::nullopt;
}

// Returns the least-squares affine motion of the pairs; nothing if they are collinear.
std::optional<Motion> fit(const std::vector<Pair>& pairs) {
    double mean_x = 0, mean_y = 0;
    for (const Pair& pair : pairs) {
        mean_x += pair.to.x / static_cast<double>(pairs.size());
        mean_y += pair.to.y / static_cast<double>(pairs.size());
    }
    double xx = 0, xy = 0, yy = 0, px = 0, py = 0, qx = 0, qy = 0, p = 0, q = 0;
    for (const Pair& pair : pairs) {
        const double x = pair.to.x - mean_x, y = pair.to.y - mean_y;
        xx += x * x;
        xy += x * y;
        yy += y * y;
        px += pair.from.x * x;
        py += pair.from.x * y;
        qx += pair.from.y * x;
        qy += pair.from.y * y;
        p += pair.from.x / static_cast<double>(pairs.size());
        q += pair.from.y / static_cast<double>(pairs.size());
    }
    const double determinant = xx * yy - xy * xy;
    if (determinant < 1e-6) {
        return std::nullopt;
    }
    Motion motion;
    motion.a = (yy * px - xy * py) / determinant;
    motion.b = (xx * py - xy * px) / determinant;
    motion.d = (yy * qx - xy * qy) / determinant;
    motion.e = (xx * qy - xy * qx) / determinant;
    motion.c = p - motion.a * mean_x - motion.b * mean_y;
    motion.f = q - motion.d * mean_x - motion.e * mean_y;
    return motion;
}

std::vector<Pair> agreeing(const std::vector<Pair>& pairs, const Motion& m) {
    std::vector<Pair> kept;
    for (const Pair& pair : pairs) {
        const double x = m.a * pair.to.x + m.b * pair.to.y + m.c, y = m.d * pair.to.x + m.e * pair.to.y + m.f;
        if (std::hypot(x - pair.from.x, y - pair.from.y) <= kReachPx) {
            kept.push_back(pair);
        }
    }
    return kept;
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
    const std::vector<Point> corners = find_corners(gray);
    if (corners.size() < kFewest) {
        return std::nullopt;
    }
    const Pyramid old_levels(before), new_levels(gray);
    std::vector<Pair> pairs;
    for (const Point& corner : corners) {
        if (const std::optional<Point> from = follow(new_levels, old_levels, corner)) {
            pairs.push_back({corner, *from});
        }
    }
    if (pairs.size() < kFewest) {
        return std::nullopt;
    }
    std::uint32_t random = 1;  // a fixed seed, so that a video always gives the same masks
    const auto pick = [&] {
        random = 1664525U * random + 1013904223U;
        return pairs[(random >> 8U) % pairs.size()];
    };
    std::vector<Pair> best;
    for (int trial = 0; trial < kTrials; ++trial) {
        if (const std::optional<Motion> motion = fit({pick(), pick(), pick()})) {
            std::vector<Pair> kept = agreeing(pairs, *motion);
            if (kept.size() > best.size()) {
                best = std::move(kept);
            }
        }
    }
    if (best.size() < 3 || static_cast<double>(best.size()) < kInliers * static_cast<double>(pairs.size())) {
        return std::nullopt;
    }
    return fit(best);
}

}  // namespace skyedge
