// A camera's frame to measure with: no camera is needed, since what a frame shows costs no time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "skyedge/frame.h"
#include "skyedge/result.h"

namespace skyedge {

// Of `--camera WIDTHxHEIGHT:FORMAT:ROTATION`.
struct CameraFormat {
    int width_px = 0;
    int height_px = 0;
    PixelFormat format = PixelFormat::kNv21;
    int rotation_deg = 0;
    std::string text;  // as it was given
};

Result<CameraFormat> parse_camera(const std::string& text);

// Frames of such a camera, and the mask that an app would keep for it: 8 bits at the upright frame's size.
class CameraBuffers {
public:
    explicit CameraBuffers(const CameraFormat& camera);
    CameraBuffers(CameraBuffers&&) = default;

    const FrameView& frame() const { return frame_; }
    MaskView mask();

private:
    FrameView frame_;
    std::array<std::vector<std::uint8_t>, 3> planes_;
    std::vector<std::uint8_t> mask_;
};

}  // namespace skyedge
