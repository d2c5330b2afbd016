// Reads a camera frame as rows of upright RGB, the source of the network's input.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/image/pillow_resize.h"
#include "skyedge/frame.h"
#include "skyedge/image_ops.h"
#include "skyedge/result.h"

namespace skyedge {

// Refuses a frame or mask whose sizes, strides or pointers are invalid.
Failure check_frame(const FrameView& frame);
Failure check_mask(const MaskView& mask);

// The bytes that a row of each plane takes at least; 0 for a plane that the format lacks.
std::array<int, 3> least_row_bytes(const FrameView& frame);

// Returns a kRgb view of the image, which must outlive it.
FrameView view_of(const Image& image);

// Provides the upright, cropped rows of a frame that passed check_frame. Pixels of four bytes are R, G, B, 0, or B, G, R,
// 0 if `blue_first`. Keeps its memory for the next frame.
class FrameRows : public RowSource {
public:
    void open(const FrameView& frame);
    bool blue_first() const { return frame_.format == PixelFormat::kBgra; }
    PixelRows rows(int y, int count) override;

private:
    void convert(int x, int y, int count, std::uint32_t* out);
    void convert_yuv(int x, int y, int count, std::uint32_t* out);
    PixelRows rows_of_columns(int y, int count);

    FrameView frame_;
    std::vector<std::uint32_t> strip_;
    std::vector<std::uint32_t> span_;
    std::vector<std::uint8_t> chroma_;  // U and V for every pixel, and Y of packed formats
};

}  // namespace skyedge
