// Views of a camera frame in memory and of the caller's memory for a mask. They own nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace skyedge {

enum class PixelFormat : int {
    kRgb = 0,     // one plane of R, G, B
    kRgba = 1,    // one plane of R, G, B and a byte that is ignored
    kBgra = 2,    // the same, blue first (iOS)
    kNv12 = 3,    // Y, then a plane of U, V pairs for every 2 x 2 pixels
    kNv21 = 4,    // the same with V first (Android)
    kYuv420 = 5,  // Y, U, V; U and V at chroma_pixel_stride (Android's YUV_420_888: 1 or 2)
    kYuyv = 6,    // one plane of Y, U, Y, V for every 2 x 1 pixels (webcams)
    kUyvy = 7,    // the same as U, Y, V, Y
};

// The conversion of Y, U, V to R, G, B. Phone cameras use the full range of BT.601, like JPEG; video uses the others.
enum class YuvColor : int { kBt601Full = 0, kBt601Video = 1, kBt709Video = 2 };

// A part of a frame, in pixels before rotation. A width of 0 means the whole frame.
struct Crop {
    int x_px = 0;
    int y_px = 0;
    int width_px = 0;
    int height_px = 0;
};

struct FrameView {
    PixelFormat format = PixelFormat::kRgb;
    int width_px = 0;
    int height_px = 0;
    std::array<const std::uint8_t*, 3> planes{};
    std::array<int, 3> row_strides{};  // bytes from row to row of each plane
    int chroma_pixel_stride = 1;       // of kYuv420: bytes from sample to sample
    int rotation_deg = 0;              // 0, 90, 180 or 270 clockwise, which makes the frame upright
    Crop crop;
    YuvColor color = YuvColor::kBt601Full;
};

enum class MaskFormat : int {
    kAlpha8 = 0,   // round(255 p)
    kFloat32 = 1,  // p, 0..1
};

// A mask over the whole upright, cropped frame, at any size, such as the frame's or the network's.
struct MaskView {
    void* data = nullptr;
    std::ptrdiff_t row_stride = 0;  // bytes
    int width_px = 0;
    int height_px = 0;
    MaskFormat format = MaskFormat::kAlpha8;
};

struct FrameSize {
    int width_px = 0;
    int height_px = 0;
};

// The size of the upright, cropped frame.
FrameSize upright_size(const FrameView& frame);

}  // namespace skyedge
