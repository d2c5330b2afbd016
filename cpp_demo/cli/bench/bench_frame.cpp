#include "cli/bench/bench_frame.h"

#include <cstddef>
#include <cstdio>

#include "codec/image_io.h"
#include "core/image/frame_input.h"

namespace skyedge {
namespace {

constexpr struct {
    const char* name;
    PixelFormat format;
} kFormats[] = {{"rgb", PixelFormat::kRgb},   {"rgba", PixelFormat::kRgba}, {"bgra", PixelFormat::kBgra},
                {"nv12", PixelFormat::kNv12}, {"nv21", PixelFormat::kNv21}, {"yuv420", PixelFormat::kYuv420},
                {"yuyv", PixelFormat::kYuyv}, {"uyvy", PixelFormat::kUyvy}};
constexpr int kMostSidePx = 8192;

// A network takes the same time for any frame.
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

Result<BenchFrame> camera_frame(const std::string& text) {
    BenchFrame frame;
    frame.content = text.empty() ? "a generated gradient with noise" : "a generated frame of a camera, " + text;
    const std::string words = text.empty() ? "640x480:rgb:0" : text;
    FrameView& view = frame.view;
    char name[8] = "";
    int used = 0;
    const int found = std::sscanf(words.c_str(), "%5dx%5d:%7[a-z0-9]:%3d%n", &view.width_px, &view.height_px, name,
                                  &view.rotation_deg, &used);
    bool good = found == 4 && static_cast<std::size_t>(used) == words.size() && view.width_px >= 1 && view.height_px >= 1 &&
                view.width_px <= kMostSidePx && view.height_px <= kMostSidePx && view.rotation_deg >= 0 &&
                view.rotation_deg < 360 && view.rotation_deg % 90 == 0;
    std::string names;
    bool known = false;
    for (const auto& each : kFormats) {
        names += (names.empty() ? "" : ", ") + std::string(each.name);
        if (std::string(name) == each.name) {
            view.format = each.format;
            known = true;
        }
    }
    if (!good || !known) {
        return Error{"got --camera '" + text + "', expected WIDTHxHEIGHT:FORMAT:ROTATION such as 640x480:nv21:90, with one of " +
                     names + ", and 0, 90, 180 or 270 degrees"};
    }
    view.row_strides = least_row_bytes(view);
    for (std::size_t i = 0; i < frame.planes.size() && view.row_strides[i] > 0; ++i) {
        frame.planes[i] = generate(view.row_strides[i], i == 0 ? view.height_px : (view.height_px + 1) / 2);
        view.planes[i] = frame.planes[i].data();
    }
    return frame;
}

Result<BenchFrame> image_frame(const std::filesystem::path& path) {
    Result<Image> image = read_rgb(path);
    if (!image) {
        return image.error();
    }
    BenchFrame frame;
    frame.view = view_of(image.value());  // whose memory moves, and stays where it is
    frame.planes[0] = std::move(image.value().rgb);
    frame.content = "the image " + path.filename().string();
    return frame;
}

}  // namespace skyedge
