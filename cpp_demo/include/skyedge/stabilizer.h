// Reduces the flicker of video masks: a running mean along the motion of the camera, at the network's resolution. The same
// as edge_runtime/masks/stabilize.py, except for frames whose motion is not affine: Python compares them by dense flow,
// this class without motion.
#pragma once

#include <cstdint>
#include <vector>

#include "skyedge/image_ops.h"
#include "skyedge/result.h"

namespace skyedge {

struct StabilizerConfig {
    double memory = 6.0;          // frames averaged at most, 1 or more; 1 switches averaging off
    double tolerance = 6.0;       // difference of gray levels that halves the weight of the past
    double edge_tolerance = 0.3;  // additional tolerance at edges in both frames, as a share of their contrast
    double surprise = 0.5;        // difference of probabilities that counts as a change
    double cut = 0.35;            // a mean similarity to the previous frame below this is a cut
};

// Position of pixel (x, y) in the previous frame: (a x + b y + c, d x + e y + f), in pixels of the network's
// input. The default is no motion.
struct Motion {
    double a = 1.0, b = 0.0, c = 0.0;
    double d = 0.0, e = 1.0, f = 0.0;
};

// Holds the state of one video; use one per video.
class Stabilizer {
public:
    explicit Stabilizer(const StabilizerConfig& config = {}) : config_(config) {}

    // Stabilizes the probability of the next frame in place. `image` is the frame at the probability's size, 16 x 16 or
    // larger. The motion is estimated from both frames, or given by the caller, for example from a gyroscope.
    Failure step(const Image& image, Probability& sky, const Motion* motion = nullptr);

    // Forgets the past, as after a cut.
    void reset() { width_ = height_ = 0; }

    int cuts() const { return cuts_; }

private:
    using Values = std::vector<float>;

    void restart(const Values& gray, const Probability& sky);

    StabilizerConfig config_;
    int width_ = 0;
    int height_ = 0;
    int cuts_ = 0;
    Values gray_;
    Values sky_;
    Values weight_;  // number of averaged frames per pixel, weighted by their certainty
};

}  // namespace skyedge
