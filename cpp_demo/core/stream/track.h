// The motion of the whole frame between two gray images, from tracked corners (Shi & Tomasi 1994; pyramidal Lucas-Kanade,
// Bouguet 2000) and an affine fit (RANSAC).
#pragma once

#include <optional>
#include <vector>

#include "skyedge/stabilizer.h"

namespace skyedge {

// Rows of gray levels, 0..255, that are whole numbers.
struct Gray {
    int width = 0;
    int height = 0;
    const float* values = nullptr;

    // Coordinates outside are those of the edge.
    float at(int x, int y) const {
        x = x < 0 ? 0 : x >= width ? width - 1 : x;
        y = y < 0 ? 0 : y >= height ? height - 1 : y;
        return values[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)];
    }
    float between(double x, double y) const;
};

// Where places of `gray` were in `before`; nothing where no affine motion explains enough corners.
std::optional<Motion> track_affine(const Gray& before, const Gray& gray);

}  // namespace skyedge
