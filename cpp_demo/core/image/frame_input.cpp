#include "core/image/frame_input.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/image/simd.h"

namespace skyedge {
namespace {

constexpr int kMostSidePx = 1 << 15;

std::size_t size_of(int number) { return static_cast<std::size_t>(number); }

bool is_yuv(PixelFormat format) { return format >= PixelFormat::kNv12; }

bool is_packed_yuv(PixelFormat format) { return format >= PixelFormat::kYuyv; }

int pixel_bytes(PixelFormat format) { return format == PixelFormat::kRgb ? 3 : 4; }

// R = luma (Y - offset) + red V, G = luma (Y - offset) + green_u U + green_v V, B = luma (Y - offset) + blue U, with U and
// V around 128, in units of 2^-16.
struct YuvWeights {
    std::int32_t offset, luma, red, green_u, green_v, blue;
};

constexpr YuvWeights kYuvWeights[] = {
    {0, 65536, 91881, -22554, -46802, 116130},    // BT.601, full range
    {16, 76309, 104597, -25675, -53279, 132201},  // BT.601, video range
    {16, 76309, 117489, -13975, -34925, 138438},  // BT.709, video range
};

inline std::uint32_t to_byte(std::int32_t value) {
    return static_cast<std::uint32_t>(std::min(std::max(value >> 16, 0), 255));
}

// Pixels of R, G, B, 0; `u` and `v` hold a sample for every pixel.
SKYEDGE_SIMD void yuv_to_rgb(const std::uint8_t* SKYEDGE_RESTRICT luma, const std::uint8_t* SKYEDGE_RESTRICT u,
                             const std::uint8_t* SKYEDGE_RESTRICT v, const YuvWeights& weights, int count,
                             std::uint32_t* SKYEDGE_RESTRICT out) {
    const YuvWeights w = weights;
    for (int i = 0; i < count; ++i) {
        const std::int32_t gray = (luma[i] - w.offset) * w.luma + (1 << 15);
        const std::int32_t blue_side = u[i] - 128;
        const std::int32_t red_side = v[i] - 128;
        out[i] = to_byte(gray + w.red * red_side) |
                 to_byte(gray + w.green_u * blue_side + w.green_v * red_side) << 8U |
                 to_byte(gray + w.blue * blue_side) << 16U;
    }
}

// Repeats every sample of `from`, which lie `step` bytes apart, for two pixels, starting at pixel `x`.
void spread(const std::uint8_t* from, int step, int x, int count, std::uint8_t* to) {
    for (int i = 0; i < count; ++i) {
        to[i] = from[static_cast<std::ptrdiff_t>((x + i) / 2) * step];
    }
}

Crop crop_of(const FrameView& frame) {
    return frame.crop.width_px == 0 ? Crop{0, 0, frame.width_px, frame.height_px} : frame.crop;
}

Failure check_crop(const FrameView& frame) {
    const Crop crop = crop_of(frame);
    const bool inside = crop.x_px >= 0 && crop.y_px >= 0 && crop.width_px >= 1 && crop.height_px >= 1 &&
                        crop.width_px <= frame.width_px - crop.x_px && crop.height_px <= frame.height_px - crop.y_px;
    if (inside) {
        return std::nullopt;
    }
    return Error{"got a crop of " + std::to_string(crop.width_px) + " x " + std::to_string(crop.height_px) + " at " +
                 std::to_string(crop.x_px) + ", " + std::to_string(crop.y_px) + ", expected one inside the frame of " +
                 std::to_string(frame.width_px) + " x " + std::to_string(frame.height_px)};
}

Failure check_planes(const FrameView& frame) {
    const int step = frame.chroma_pixel_stride;
    if (frame.format == PixelFormat::kYuv420 && (step < 1 || step > 16)) {
        return Error{"got a chroma_pixel_stride of " + std::to_string(step) + ", expected 1 or 2"};
    }
    const std::array<int, 3> least = least_row_bytes(frame);
    for (std::size_t i = 0; i < least.size(); ++i) {
        if (least[i] > 0 && (frame.planes[i] == nullptr || frame.row_strides[i] < least[i])) {
            return Error{"got " + std::string(frame.planes[i] == nullptr ? "no memory" : "a row stride") +
                         (frame.planes[i] == nullptr ? "" : " of " + std::to_string(frame.row_strides[i])) +
                         " for plane " + std::to_string(i) + ", expected rows of at least " +
                         std::to_string(least[i]) + " bytes"};
        }
    }
    return std::nullopt;
}

}  // namespace

std::array<int, 3> least_row_bytes(const FrameView& frame) {
    const int chroma = (frame.width_px + 1) / 2;
    if (frame.format == PixelFormat::kYuv420) {
        const int bytes = (chroma - 1) * frame.chroma_pixel_stride + 1;
        return {frame.width_px, bytes, bytes};
    }
    if (is_packed_yuv(frame.format)) {
        return {4 * chroma, 0, 0};
    }
    return is_yuv(frame.format) ? std::array<int, 3>{frame.width_px, 2 * chroma, 0}
                                : std::array<int, 3>{frame.width_px * pixel_bytes(frame.format), 0, 0};
}

FrameSize upright_size(const FrameView& frame) {
    const Crop crop = crop_of(frame);
    return frame.rotation_deg % 180 == 0 ? FrameSize{crop.width_px, crop.height_px}
                                         : FrameSize{crop.height_px, crop.width_px};
}

Failure check_frame(const FrameView& frame) {
    if (frame.format < PixelFormat::kRgb || frame.format > PixelFormat::kUyvy ||
        frame.color < YuvColor::kBt601Full || frame.color > YuvColor::kBt709Video) {
        return Error{"got an unknown pixel format or color, expected one that skyedge/frame.h lists"};
    }
    if (frame.width_px < 1 || frame.height_px < 1 || frame.width_px > kMostSidePx || frame.height_px > kMostSidePx) {
        return Error{"got a frame of " + std::to_string(frame.width_px) + " x " + std::to_string(frame.height_px) +
                     " pixels, expected 1 to " + std::to_string(kMostSidePx) + " each way"};
    }
    if (frame.rotation_deg != 0 && frame.rotation_deg != 90 && frame.rotation_deg != 180 && frame.rotation_deg != 270) {
        return Error{"got a rotation of " + std::to_string(frame.rotation_deg) + " degrees, expected 0, 90, 180 or 270"};
    }
    Failure failure = check_crop(frame);
    return failure ? failure : check_planes(frame);
}

Failure check_mask(const MaskView& mask) {
    const int sample_bytes = mask.format == MaskFormat::kFloat32 ? 4 : 1;
    if (mask.format != MaskFormat::kAlpha8 && mask.format != MaskFormat::kFloat32) {
        return Error{"got an unknown mask format, expected one that skyedge/frame.h lists"};
    }
    if (mask.data == nullptr || mask.width_px < 1 || mask.height_px < 1 || mask.width_px > kMostSidePx ||
        mask.height_px > kMostSidePx || mask.row_stride < mask.width_px * sample_bytes ||
        mask.row_stride % sample_bytes != 0) {
        return Error{"got a mask of " + std::to_string(mask.width_px) + " x " + std::to_string(mask.height_px) +
                     " with rows of " + std::to_string(mask.row_stride) + " bytes" +
                     (mask.data == nullptr ? " and no memory" : "") + ", expected memory for at least one pixel of " +
                     std::to_string(sample_bytes) + " bytes"};
    }
    return std::nullopt;
}

FrameView view_of(const Image& image) {
    FrameView frame;
    frame.width_px = image.width_px;
    frame.height_px = image.height_px;
    frame.planes[0] = image.rgb.data();
    frame.row_strides[0] = image.width_px * 3;
    return frame;
}

void FrameRows::open(const FrameView& frame) {
    frame_ = frame;
    frame_.crop = crop_of(frame);
}

// Converts pixels x to x + count of row y, in the coordinates of the unrotated frame.
void FrameRows::convert(int x, int y, int count, std::uint32_t* out) {
    if (is_yuv(frame_.format)) {
        convert_yuv(x, y, count, out);
        return;
    }
    const int bytes = pixel_bytes(frame_.format);
    const std::uint8_t* pixel = frame_.planes[0] + static_cast<std::ptrdiff_t>(y) * frame_.row_strides[0] + x * bytes;
    if (bytes == 4) {
        std::memcpy(out, pixel, size_of(count) * sizeof *out);
        return;
    }
    for (int i = 0; i < count; ++i, pixel += 3) {
        out[i] = pixel[0] | static_cast<std::uint32_t>(pixel[1]) << 8U | static_cast<std::uint32_t>(pixel[2]) << 16U;
    }
}

void FrameRows::convert_yuv(int x, int y, int count, std::uint32_t* out) {
    const auto row = [&](std::size_t plane, int number) {
        return frame_.planes[plane] + static_cast<std::ptrdiff_t>(number) * frame_.row_strides[plane];
    };
    const std::uint8_t* luma = row(0, y) + x;
    const std::uint8_t* u = nullptr;
    const std::uint8_t* v = nullptr;
    int step = 2;
    chroma_.resize(3 * size_of(count));
    if (is_packed_yuv(frame_.format)) {
        const int first = frame_.format == PixelFormat::kYuyv ? 0 : 1;  // of Y; U and V take the other bytes
        std::uint8_t* to = chroma_.data() + 2 * count;
        for (int i = 0; i < count; ++i) {
            to[i] = row(0, y)[2 * (x + i) + first];
        }
        luma = to;
        u = row(0, y) + 1 - first;
        v = u + 2;
        step = 4;
    } else if (frame_.format == PixelFormat::kYuv420) {
        u = row(1, y / 2);
        v = row(2, y / 2);
        step = frame_.chroma_pixel_stride;
    } else {
        const int first = frame_.format == PixelFormat::kNv12 ? 0 : 1;
        u = row(1, y / 2) + first;
        v = row(1, y / 2) + 1 - first;
    }
    spread(u, step, x, count, chroma_.data());
    spread(v, step, x, count, chroma_.data() + count);
    yuv_to_rgb(luma, chroma_.data(), chroma_.data() + count, kYuvWeights[static_cast<int>(frame_.color)], count, out);
}

PixelRows FrameRows::rows(int y, int count) {
    if (frame_.rotation_deg % 180 != 0) {
        return rows_of_columns(y, count);
    }
    const Crop& crop = frame_.crop;
    const bool turned = frame_.rotation_deg == 180;
    const int bytes = pixel_bytes(frame_.format);
    const bool last = y + count == crop.height_px && crop.y_px + crop.height_px == frame_.height_px;
    if (!turned && !is_yuv(frame_.format) && !(bytes == 3 && last)) {  // three-byte reads would pass the end of the last row
        return {frame_.planes[0] + static_cast<std::ptrdiff_t>(crop.y_px + y) * frame_.row_strides[0] +
                    crop.x_px * bytes,
                size_of(frame_.row_strides[0]), bytes};
    }
    const std::size_t width = size_of(crop.width_px);
    strip_.resize(width * RowResizer::kStripRows);
    for (int i = 0; i < count; ++i) {
        std::uint32_t* out = strip_.data() + size_of(i) * width;
        const int from = turned ? crop.height_px - 1 - (y + i) : y + i;
        convert(crop.x_px, crop.y_px + from, crop.width_px, out);
        if (turned) {
            std::reverse(out, out + width);
        }
    }
    return {reinterpret_cast<const std::uint8_t*>(strip_.data()), width * sizeof(std::uint32_t), 4};
}

// Upright rows are columns of the frame. At 90 degrees clockwise the first row is the left column, read upwards; at 270
// degrees it is the right column, read downwards.
PixelRows FrameRows::rows_of_columns(int y, int count) {
    const Crop& crop = frame_.crop;
    const bool clockwise = frame_.rotation_deg == 90;
    const std::size_t width = size_of(crop.height_px);
    strip_.resize(width * RowResizer::kStripRows);
    span_.resize(RowResizer::kStripRows);
    const int left = clockwise ? y : crop.width_px - y - count;
    for (int row = 0; row < crop.height_px; ++row) {
        convert(crop.x_px + left, crop.y_px + row, count, span_.data());
        std::uint32_t* out = strip_.data() + (clockwise ? width - 1 - size_of(row) : size_of(row));
        for (int i = 0; i < count; ++i, out += width) {
            *out = span_[size_of(clockwise ? i : count - 1 - i)];
        }
    }
    return {reinterpret_cast<const std::uint8_t*>(strip_.data()), width * sizeof(std::uint32_t), 4};
}

}  // namespace skyedge
