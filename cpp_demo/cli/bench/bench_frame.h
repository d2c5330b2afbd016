// The frame that is measured with: an image, or a generated frame of a camera; no camera is needed.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "skyedge/frame.h"
#include "skyedge/result.h"

namespace skyedge {

// A frame with its memory. Moved, never copied: `view` points into `planes`.
struct BenchFrame {
    FrameView view;
    std::array<std::vector<std::uint8_t>, 3> planes;
    std::string content;  // what it shows, for the report

    BenchFrame() = default;
    BenchFrame(BenchFrame&&) = default;
};

// Returns a gradient with noise as a frame of WIDTHxHEIGHT:FORMAT:ROTATION; "" is 640x480:rgb:0.
Result<BenchFrame> camera_frame(const std::string& text);

Result<BenchFrame> image_frame(const std::filesystem::path& path);

}  // namespace skyedge
