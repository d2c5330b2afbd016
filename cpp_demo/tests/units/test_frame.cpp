// Camera frames of every format, rotation, crop, odd size and stride give exactly the network input of the converted,
// turned and cropped image; masks are written into the caller's memory alone.
#include <algorithm>
#include <cmath>
#include <random>

#include "tests/check.h"
#include "skyedge/sky_segmenter.h"
#include "tests/tiny_artifact.h"

namespace {

using skyedge::Crop;
using skyedge::FrameView;
using skyedge::Image;
using skyedge::MaskFormat;
using skyedge::MaskView;
using skyedge::PixelFormat;
using skyedge::Probability;
using skyedge::SkySegmenter;
using skyedge::Workspace;
using skyedge::YuvColor;
using Memory = std::vector<std::uint8_t>;

std::size_t size_of(int number) { return static_cast<std::size_t>(number); }

struct Frame {
    FrameView view;
    std::array<Memory, 3> planes;  // of the exact size, so that sanitizers find every read past the end
};

Frame make_frame(PixelFormat format, int width, int height, int padding, int chroma_step, std::mt19937& random) {
    Frame frame;
    frame.view.format = format;
    frame.view.width_px = width;
    frame.view.height_px = height;
    frame.view.chroma_pixel_stride = chroma_step;
    const int chroma_width = (width + 1) / 2, chroma_height = (height + 1) / 2;
    std::array<int, 3> row_bytes{width * (format == PixelFormat::kRgb ? 3 : 4), 0, 0};
    if (format == PixelFormat::kNv12 || format == PixelFormat::kNv21) {
        row_bytes = {width, 2 * chroma_width, 0};
    } else if (format == PixelFormat::kYuv420) {
        row_bytes = {width, (chroma_width - 1) * chroma_step + 1, (chroma_width - 1) * chroma_step + 1};
    } else if (format == PixelFormat::kYuyv || format == PixelFormat::kUyvy) {
        row_bytes = {4 * chroma_width, 0, 0};
    }
    for (std::size_t i = 0; i < 3; ++i) {
        if (row_bytes[i] > 0) {
            const int rows = i == 0 ? height : chroma_height;
            frame.view.row_strides[i] = row_bytes[i] + padding;
            frame.planes[i].resize(size_of((rows - 1) * (row_bytes[i] + padding) + row_bytes[i]));
            std::generate(frame.planes[i].begin(), frame.planes[i].end(),
                          [&] { return static_cast<std::uint8_t>(random()); });
            frame.view.planes[i] = frame.planes[i].data();
        }
    }
    return frame;
}

std::uint8_t to_byte(double value) { return static_cast<std::uint8_t>(std::clamp(std::floor(value), 0.0, 255.0)); }

// The documented integer coefficients, repeated here as the reference.
std::array<std::uint8_t, 3> pixel_at(const FrameView& view, int x, int y) {
    const std::uint8_t* row = view.planes[0] + y * view.row_strides[0];
    if (view.format == PixelFormat::kRgb) {
        return {row[3 * x], row[3 * x + 1], row[3 * x + 2]};
    }
    if (view.format == PixelFormat::kRgba) {
        return {row[4 * x], row[4 * x + 1], row[4 * x + 2]};
    }
    if (view.format == PixelFormat::kBgra) {
        return {row[4 * x + 2], row[4 * x + 1], row[4 * x]};
    }
    const std::uint8_t* chroma = view.planes[1] + (y / 2) * view.row_strides[1];
    int u = 0, v = 0, luma = row[x];
    if (view.format == PixelFormat::kYuyv || view.format == PixelFormat::kUyvy) {
        const std::uint8_t* pair = row + 4 * (x / 2);
        const int first = view.format == PixelFormat::kYuyv ? 0 : 1;
        luma = pair[first + 2 * (x % 2)];
        u = pair[1 - first];
        v = pair[3 - first];
    } else if (view.format == PixelFormat::kYuv420) {
        u = chroma[(x / 2) * view.chroma_pixel_stride];
        v = view.planes[2][(y / 2) * view.row_strides[2] + (x / 2) * view.chroma_pixel_stride];
    } else {
        u = chroma[2 * (x / 2)];
        v = chroma[2 * (x / 2) + 1];
    }
    if (view.format == PixelFormat::kNv21) {
        std::swap(u, v);
    }
    const bool full = view.color == YuvColor::kBt601Full, hd = view.color == YuvColor::kBt709Video;
    const double gray = full ? luma * 65536.0 : (luma - 16) * 76309.0;
    const double red = full ? 91881 : hd ? 117489 : 104597, blue = full ? 116130 : hd ? 138438 : 132201;
    const double green_u = full ? -22554 : hd ? -13975 : -25675, green_v = full ? -46802 : hd ? -34925 : -53279;
    return {to_byte((gray + 32768 + red * (v - 128)) / 65536),
            to_byte((gray + 32768 + green_u * (u - 128) + green_v * (v - 128)) / 65536),
            to_byte((gray + 32768 + blue * (u - 128)) / 65536)};
}

Image converted(const FrameView& view) {
    const Crop crop = view.crop.width_px == 0 ? Crop{0, 0, view.width_px, view.height_px} : view.crop;
    const skyedge::FrameSize size = skyedge::upright_size(view);
    Image image{size.width_px, size.height_px, {}};
    for (int y = 0; y < size.height_px; ++y) {
        for (int x = 0; x < size.width_px; ++x) {
            int from_x = x, from_y = y;
            if (view.rotation_deg == 90) {
                from_x = y;
                from_y = crop.height_px - 1 - x;
            } else if (view.rotation_deg == 180) {
                from_x = crop.width_px - 1 - x;
                from_y = crop.height_px - 1 - y;
            } else if (view.rotation_deg == 270) {
                from_x = crop.width_px - 1 - y;
                from_y = x;
            }
            const auto pixel = pixel_at(view, crop.x_px + from_x, crop.y_px + from_y);
            image.rgb.insert(image.rgb.end(), pixel.begin(), pixel.end());
        }
    }
    return image;
}

void check_mask(const SkySegmenter& segmenter, const FrameView& view, Workspace& workspace, const Probability& expected,
                MaskFormat format) {
    const std::size_t each = format == MaskFormat::kAlpha8 ? 1 : 4;
    const std::size_t stride = size_of(expected.width_px) * each + 8;
    Memory memory(stride * size_of(expected.height_px), 0xA5);
    const MaskView mask{memory.data(), static_cast<std::ptrdiff_t>(stride), expected.width_px, expected.height_px, format};
    CHECK(!segmenter.segment(view, workspace, mask));
    const skyedge::Mask bytes = skyedge::to_mask8(expected);
    bool same = true, untouched = true;
    for (int y = 0; y < expected.height_px; ++y) {
        const std::uint8_t* row = memory.data() + size_of(y) * stride;
        const std::size_t at = size_of(y) * size_of(expected.width_px);
        same &= each == 1 ? std::equal(row, row + expected.width_px, bytes.values.data() + at)
                          : std::memcmp(row, expected.values.data() + at, size_of(expected.width_px) * 4) == 0;
        untouched &= std::all_of(row + size_of(expected.width_px) * each, row + stride,
                                 [](std::uint8_t byte) { return byte == 0xA5; });
    }
    CHECK(same && untouched);
}

void test_frames(const SkySegmenter& segmenter) {
    std::mt19937 random(5);
    const auto pick = [&](int low, int high) { return low + static_cast<int>(random() % size_of(high - low + 1)); };
    Workspace workspace;
    Probability small;
    Image input;
    for (int i = 0; i < 400; ++i) {
        const auto format = static_cast<PixelFormat>(i % 8);
        Frame frame = make_frame(format, pick(1, 75), pick(1, 75), pick(0, 1) * pick(1, 9), pick(1, 2), random);
        frame.view.rotation_deg = 90 * (i / 8 % 4);
        frame.view.color = static_cast<YuvColor>(pick(0, 2));
        if (pick(0, 1) == 1) {
            const int x = pick(0, frame.view.width_px - 1), y = pick(0, frame.view.height_px - 1);
            frame.view.crop = {x, y, pick(1, frame.view.width_px - x), pick(1, frame.view.height_px - y)};
        }
        CHECK(!segmenter.low_res(frame.view, workspace, small, &input));
        const Image upright = converted(frame.view);
        const Image expected = skyedge::resize_pillow_bilinear(upright, input.width_px, input.height_px);
        if (input.rgb != expected.rgb) {
            CHECK(false && "the network's input is not that of the converted image");
            std::fprintf(stderr, "case %d: format %d, %d x %d, rotation %d\n", i, static_cast<int>(format),
                         frame.view.width_px, frame.view.height_px, frame.view.rotation_deg);
        }
        const auto whole = segmenter.segment(upright);
        CHECK(static_cast<bool>(whole));
        if (whole) {
            check_mask(segmenter, frame.view, workspace, whole.value(),
                       i % 2 == 0 ? MaskFormat::kAlpha8 : MaskFormat::kFloat32);
            check_mask(segmenter, frame.view, workspace, small, i % 2 == 0 ? MaskFormat::kFloat32 : MaskFormat::kAlpha8);
        }
    }
}

void test_refusals(const SkySegmenter& segmenter) {
    std::mt19937 random(6);
    Workspace workspace;
    Memory memory(64);
    const MaskView mask{memory.data(), 8, 8, 8, MaskFormat::kAlpha8};
    const Frame frame = make_frame(PixelFormat::kNv21, 20, 10, 0, 1, random);
    const auto refusal = [&](const FrameView& view, const MaskView& out) {
        const skyedge::Failure failure = segmenter.segment(view, workspace, out);
        CHECK(failure && failure->code == skyedge::ErrorCode::kArgument);
        return failure ? failure->message : std::string();
    };
    FrameView view = frame.view;
    view.rotation_deg = 45;
    CHECK_HOLDS(refusal(view, mask), "got a rotation of 45 degrees, expected 0, 90, 180 or 270");
    view = frame.view;
    view.row_strides[1] = 19;
    CHECK_HOLDS(refusal(view, mask), "got a row stride of 19 for plane 1, expected rows of at least 20 bytes");
    view = frame.view;
    view.planes[1] = nullptr;
    CHECK_HOLDS(refusal(view, mask), "got no memory for plane 1");
    view = frame.view;
    view.crop = {15, 0, 6, 10};
    CHECK_HOLDS(refusal(view, mask), "got a crop of 6 x 10 at 15, 0, expected one inside the frame of 20 x 10");
    view = frame.view;
    view.width_px = 0;
    CHECK_HOLDS(refusal(view, mask), "got a frame of 0 x 10 pixels");
    view = frame.view;
    view.format = static_cast<PixelFormat>(9);
    CHECK_HOLDS(refusal(view, mask), "unknown pixel format");
    for (const MaskView& wrong : {MaskView{nullptr, 8, 8, 8, MaskFormat::kAlpha8}, MaskView{memory.data(), 7, 8, 8, {}},
                                  MaskView{memory.data(), 8, 8, 0, {}},
                                  MaskView{memory.data(), 30, 8, 1, MaskFormat::kFloat32}}) {
        CHECK_HOLDS(refusal(frame.view, wrong), "got a mask of");
    }
}

}  // namespace

int main() {
    const skyedge::test::ScratchFolder scratch;
    skyedge::test::write_tiny(scratch.path());
    const auto loaded = SkySegmenter::load(scratch.path());
    CHECK(static_cast<bool>(loaded));
    if (loaded) {
        test_frames(loaded.value());
        test_refusals(loaded.value());
    }
    return skyedge::test::finish();
}
