#include "cli/bench/camera_buffers.h"

#include <cstddef>
#include <cstdio>

namespace skyedge {
namespace {

constexpr struct {
    const char* name;
    PixelFormat format;
} kFormats[] = {{"rgb", PixelFormat::kRgb},   {"rgba", PixelFormat::kRgba}, {"bgra", PixelFormat::kBgra},
                {"nv12", PixelFormat::kNv12}, {"nv21", PixelFormat::kNv21}, {"yuv420", PixelFormat::kYuv420}};
constexpr int kMostSidePx = 8192;

// A gradient with noise, row by row.
std::vector<std::uint8_t> generate(int row_bytes, int rows) {
    std::vector<std::uint8_t> plane;
    plane.reserve(static_cast<std::size_t>(row_bytes) * static_cast<std::size_t>(rows));
    std::uint32_t noise = 1;
    for (int y = 0; y < rows; ++y) {
        for (int x = 0; x < row_bytes; ++x) {
            noise = 1664525U * noise + 1013904223U;
            plane.push_back(static_cast<std::uint8_t>((noise >> 27U) + static_cast<unsigned>(y * 200 / rows)));
        }
    }
    return plane;
}

}  // namespace

Result<CameraFormat> parse_camera(const std::string& text) {
    CameraFormat camera;
    camera.text = text;
    char name[8] = "";
    int used = 0;
    const int found = std::sscanf(text.c_str(), "%5dx%5d:%7[a-z0-9]:%3d%n", &camera.width_px, &camera.height_px, name,
                                  &camera.rotation_deg, &used);
    bool good = found == 4 && static_cast<std::size_t>(used) == text.size() && camera.width_px >= 1 &&
                camera.height_px >= 1 && camera.width_px <= kMostSidePx && camera.height_px <= kMostSidePx &&
                camera.rotation_deg >= 0 && camera.rotation_deg < 360 && camera.rotation_deg % 90 == 0;
    bool known = false;
    for (const auto& each : kFormats) {
        if (std::string(name) == each.name) {
            camera.format = each.format;
            known = true;
        }
    }
    if (!good || !known) {
        return Error{"got --camera '" + text +
                     "', expected WIDTHxHEIGHT:FORMAT:ROTATION such as 640x480:nv21:90, with rgb, rgba, bgra, nv12, "
                     "nv21 or yuv420, and 0, 90, 180 or 270 degrees"};
    }
    return camera;
}

CameraBuffers::CameraBuffers(const CameraFormat& camera) {
    frame_.format = camera.format;
    frame_.width_px = camera.width_px;
    frame_.height_px = camera.height_px;
    frame_.rotation_deg = camera.rotation_deg;
    const int width = camera.width_px, chroma = (width + 1) / 2;
    std::array<int, 3> row_bytes{width, 2 * chroma, 0};
    if (camera.format == PixelFormat::kYuv420) {
        row_bytes = {width, chroma, chroma};
    } else if (camera.format < PixelFormat::kNv12) {
        row_bytes = {width * (camera.format == PixelFormat::kRgb ? 3 : 4), 0, 0};
    }
    for (std::size_t i = 0; i < row_bytes.size(); ++i) {
        if (row_bytes[i] > 0) {
            planes_[i] = generate(row_bytes[i], i == 0 ? camera.height_px : (camera.height_px + 1) / 2);
            frame_.planes[i] = planes_[i].data();
            frame_.row_strides[i] = row_bytes[i];
        }
    }
    mask_.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(camera.height_px));
}

MaskView CameraBuffers::mask() {
    const FrameSize size = upright_size(frame_);
    return {mask_.data(), size.width_px, size.width_px, size.height_px, MaskFormat::kAlpha8};
}

}  // namespace skyedge
