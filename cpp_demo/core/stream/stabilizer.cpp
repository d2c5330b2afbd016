#include "skyedge/stabilizer.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <string>

#include "core/stream/track.h"

namespace skyedge {
namespace {

using Values = std::vector<float>;

// As in edge_runtime/masks/stabilize.py.
constexpr float kUnsure = 0.5F;  // weight of a probability of 0.5; 0 and 1 have weight 1
constexpr double kGainLow = 0.6, kGainHigh = 1.6, kFlat = 25.0;
constexpr float kMost = 20.0F;  // limit of a difference of gray levels
constexpr int kLeastSidePx = 16;

struct Plane2 {
    int width, height;
    const Values& values;

    Gray gray() const { return {width, height, values.data()}; }
};

Values to_gray(const Image& image) {
    Values gray(image.rgb.size() / 3);
    for (std::size_t i = 0; i < gray.size(); ++i) {
        const std::uint8_t* pixel = image.rgb.data() + 3 * i;
        gray[i] = static_cast<float>((pixel[0] * 9798 + pixel[1] * 19235 + pixel[2] * 3735 + (1 << 14)) >> 15);
    }
    return gray;
}

double mean_of(const Values& values) {
    double sum = 0;
    for (const float value : values) {
        sum += value;
    }
    return sum / static_cast<double>(values.size());
}

double median_of(Values values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return values.size() % 2 != 0 ? *middle : (*middle + *std::max_element(values.begin(), middle)) / 2.0;
}

// The previous frame, scaled to the mean brightness of the new one.
Values as_bright(const Values& before, const Values& gray) {
    const auto gain = static_cast<float>(mean_of(gray) / std::max(mean_of(before), 1.0));
    Values out(before.size());
    std::transform(before.begin(), before.end(), out.begin(),
                   [&](float level) { return std::clamp(std::nearbyint(level * gain), 0.0F, 255.0F); });
    return out;
}

float sureness(float p) { return kUnsure + (1 - kUnsure) * std::abs(2 * p - 1); }

Values moved(const Plane2& plane, const Motion& m) {
    Values out;
    out.reserve(plane.values.size());
    const Gray from = plane.gray();
    for (int y = 0; y < plane.height; ++y) {
        for (int x = 0; x < plane.width; ++x) {
            out.push_back(from.between(m.a * x + m.b * y + m.c, m.d * x + m.e * y + m.f));
        }
    }
    return out;
}

void round_all(Values& levels) {
    for (float& level : levels) {
        level = std::nearbyint(level);
    }
}

double misfit(const Values& gray, const Values& seen) {
    double sum = 0;
    for (std::size_t i = 0; i < gray.size(); ++i) {
        sum += std::min(std::abs(gray[i] - seen[i]), kMost);
    }
    return sum / static_cast<double>(gray.size());
}

// Applies a function to every 3 x 3 neighborhood. Pixels outside the image are mirrored (`mirror`) or left out.
template <class Function>
Values of_nine(const Plane2& plane, bool mirror, const Function& function) {
    Values out;
    out.reserve(plane.values.size());
    Values nine;
    for (int y = 0; y < plane.height; ++y) {
        for (int x = 0; x < plane.width; ++x) {
            nine.clear();
            for (int v = y - 1; v <= y + 1; ++v) {
                for (int u = x - 1; u <= x + 1; ++u) {
                    const bool inside = u >= 0 && v >= 0 && u < plane.width && v < plane.height;
                    if (inside || mirror) {
                        const int column = u < 0 ? -u : u >= plane.width ? 2 * plane.width - 2 - u : u;
                        const int row = v < 0 ? -v : v >= plane.height ? 2 * plane.height - 2 - v : v;
                        nine.push_back(plane.gray().at(column, row));
                    }
                }
            }
            out.push_back(function(nine));
        }
    }
    return out;
}

Values blur(const Plane2& plane) {
    return of_nine(plane, true, [](const Values& nine) {
        float sum = 0;
        for (const float value : nine) {
            sum += value;
        }
        return sum / 9;
    });
}

Values contrast(const Plane2& plane) {
    return of_nine(plane, false, [](const Values& nine) {
        const auto [low, high] = std::minmax_element(nine.begin(), nine.end());
        return *high - *low;
    });
}

// The difference of gray levels after brightness and contrast of the frames are matched.
Values difference(const Values& gray, const Values& seen) {
    Values apart(gray.size());
    std::transform(gray.begin(), gray.end(), seen.begin(), apart.begin(), [](float a, float b) { return a - b; });
    const auto shift = static_cast<float>(median_of(apart));
    Values size(apart.size());
    std::transform(apart.begin(), apart.end(), size.begin(), [&](float a) { return std::abs(a - shift); });
    const double limit = std::max(4 * median_of(size), 2.0);
    double count = 0, sum_x = 0, sum_y = 0;
    for (std::size_t i = 0; i < size.size(); ++i) {
        if (size[i] <= limit) {
            count += 1;
            sum_x += seen[i];
            sum_y += gray[i];
        }
    }
    const double mean_x = sum_x / count, mean_y = sum_y / count;
    double variance = 0, covariance = 0;
    for (std::size_t i = 0; i < size.size(); ++i) {
        if (size[i] <= limit) {
            variance += (seen[i] - mean_x) * (seen[i] - mean_x) / count;
            covariance += (seen[i] - mean_x) * (gray[i] - mean_y) / count;
        }
    }
    const double slope = std::clamp((covariance + kFlat) / (variance + kFlat), kGainLow, kGainHigh);
    for (std::size_t i = 0; i < apart.size(); ++i) {
        apart[i] = std::abs(static_cast<float>(gray[i] - (slope * (seen[i] - mean_x) + mean_y)));
    }
    return apart;
}

// The similarity of each pixel to the previous frame, 0 to 1.
Values trust_of(int width, int height, const Values& gray, const Values& seen, const StabilizerConfig& config) {
    const Values apart = blur({width, height, difference(gray, seen)});
    Values edge = contrast({width, height, gray});
    const Values other = contrast({width, height, seen});
    std::transform(edge.begin(), edge.end(), other.begin(), edge.begin(), [](float a, float b) { return std::min(a, b); });
    edge = blur({width, height, edge});
    Values trust(apart.size());
    for (std::size_t i = 0; i < trust.size(); ++i) {
        const double share = apart[i] / (config.tolerance + config.edge_tolerance * edge[i]);
        trust[i] = static_cast<float>(std::exp2(-share * share));
    }
    return trust;
}

Failure check(const StabilizerConfig& config, const Image& image, const Probability& sky) {
    if (!(config.memory >= 1 && config.tolerance > 0 && config.edge_tolerance >= 0 && config.surprise > 0 &&
          config.surprise <= 1 && config.cut >= 0 && config.cut < 1)) {
        return Error{
            "got a StabilizerConfig out of range, expected memory >= 1, tolerance > 0, edge_tolerance >= 0, "
            "surprise in (0, 1], cut in [0, 1)"};
    }
    const std::size_t pixels = sky.values.size();
    if (image.width_px != sky.width_px || image.height_px != sky.height_px ||
        std::min(image.width_px, image.height_px) < kLeastSidePx || image.rgb.size() != 3 * pixels ||
        pixels != static_cast<std::size_t>(sky.width_px) * static_cast<std::size_t>(sky.height_px)) {
        return Error{"got an image of " + std::to_string(image.width_px) + " x " + std::to_string(image.height_px) +
                     " pixels with probabilities of " + std::to_string(sky.width_px) + " x " +
                     std::to_string(sky.height_px) + ", expected both at one size of 16 or more"};
    }
    return std::nullopt;
}

}  // namespace

void Stabilizer::restart(const Values& gray, const Probability& sky) {
    width_ = sky.width_px;
    height_ = sky.height_px;
    gray_ = gray;
    sky_ = sky.values;
    weight_.resize(sky_.size());
    std::transform(sky_.begin(), sky_.end(), weight_.begin(), sureness);
}

Failure Stabilizer::step(const Image& image, Probability& sky, const Motion* motion) {
    if (Failure failure = check(config_, image, sky)) {
        return failure;
    }
    try {
        const Values gray = to_gray(image);
        if (width_ != sky.width_px || height_ != sky.height_px) {
            restart(gray, sky);
            return std::nullopt;
        }
        const Values before = as_bright(gray_, gray);
        const Plane2 old_plane{width_, height_, before};
        Motion way;
        if (motion != nullptr) {
            way = *motion;
        } else if (const auto found = track_affine(old_plane.gray(), {width_, height_, gray.data()})) {
            // If the camera stands still, moving objects may outweigh the background.
            Values there = moved(old_plane, *found);
            round_all(there);
            way = misfit(gray, there) < misfit(gray, before) ? *found : way;
        }
        Values seen = moved(old_plane, way);
        round_all(seen);
        const Values known = moved({width_, height_, sky_}, way);
        Values weight = moved({width_, height_, weight_}, way);
        const Values trust = trust_of(width_, height_, gray, seen, config_);
        if (mean_of(trust) < config_.cut) {
            ++cuts_;
            restart(gray, sky);
            return std::nullopt;
        }
        std::size_t i = 0;
        for (int y = 0; y < height_; ++y) {
            for (int x = 0; x < width_; ++x, ++i) {
                const double from_x = way.a * x + way.b * y + way.c, from_y = way.d * x + way.e * y + way.f;
                const bool outside =
                    from_x < -0.5 || from_y < -0.5 || from_x > width_ - 0.5 || from_y > height_ - 0.5;
                const float most = static_cast<float>(config_.memory - 1.0);
                float share = outside ? 0.0F : std::min(weight[i] * trust[i], most);
                const float change = sky.values[i] - known[i];
                // A large change takes effect half at once, and almost completely in the next frame.
                share = std::abs(change) > static_cast<float>(config_.surprise) ? std::min(share, 1.0F) : share;
                const float sure = sureness(sky.values[i]);
                weight_[i] = share + sure;
                sky_[i] = std::clamp(known[i] + change * (sure / (sure + share)), 0.0F, 1.0F);
            }
        }
        gray_ = gray;
        sky.values = sky_;
        return std::nullopt;
    } catch (const std::exception& error) {
        return Error{std::string("cannot stabilize the frame: ") + error.what(), ErrorCode::kMemory};
    }
}

}  // namespace skyedge
