// Generated camera frames for measuring; no camera is needed.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "skyedge/frame.h"
#include "skyedge/result.h"

namespace skyedge {

// The value of `--camera WIDTHxHEIGHT:FORMAT:ROTATION`.
struct CameraFormat {
    int width_px = 0;
    int height_px = 0;
    PixelFormat format = PixelFormat::kNv21;
    int rotation_deg = 0;
    std::string text;  // as it was given
};

Result<CameraFormat> parse_camera(const std::string& text);

// Memory of a frame of such a camera, and of its 8-bit mask at the size of the upright frame.
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
