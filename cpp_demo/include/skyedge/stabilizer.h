// Masks of a video without flicker: a running mean along the motion of the camera, at the network's resolution. The same
// as edge_runtime/masks/stabilize.py, but for frames whose motion is not affine, which Python compares by dense flow and
// this as if the camera stood still.
#pragma once

#include <cstdint>
#include <vector>

#include "skyedge/image_ops.h"
#include "skyedge/result.h"

namespace skyedge {

struct StabilizerConfig {
    double memory = 6.0;          // frames that a place may be averaged over, 1 or more; 1 switches averaging off
    double tolerance = 6.0;       // difference of gray levels at which half of the trust is lost
    double edge_tolerance = 0.3;  // more of it at edges that both frames show, as a share of their contrast
    double surprise = 0.5;        // difference of probabilities from which a place has changed
    double cut = 0.35;            // mean trust of a frame in the one before it below which a cut is assumed
};

// Where each place (x, y) of a frame was in the one before: (a x + b y + c, d x + e y + f), in pixels of the network's
// input. The default is a camera that stands still.
struct Motion {
    double a = 1.0, b = 0.0, c = 0.0;
    double d = 0.0, e = 1.0, f = 0.0;
};

// Holds one frame, so one video each.
class Stabilizer {
public:
    explicit Stabilizer(const StabilizerConfig& config = {}) : config_(config) {}

    // Steadies the probability of the next frame in place. `image` is the frame at the probability's size, 16 x 16 or
    // larger. The motion is found from tracked corners, or given, where a gyroscope or a tracker of the app knows it.
    Failure step(const Image& image, Probability& sky, const Motion* motion = nullptr);

    // Forgets the frame before, as after a cut.
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
    Values weight_;  // of what is known of each place; a sure frame weighs 1
};

}  // namespace skyedge
