#include "image_io.h"

#include <algorithm>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "exif.h"
#include "files.h"

namespace skyedge {
namespace {

using namespace std::literals;

constexpr int kChannels = 3;

// Alpha over black: round(value * alpha / 255).
std::uint8_t over_black(unsigned value, unsigned alpha) {
    return static_cast<std::uint8_t>((2 * value * alpha + 255) / 510);
}

// One sample of 8 or 16 bits as 8.
struct Depth8 {
    static unsigned colour(std::uint8_t value) { return value; }
    static unsigned grey(std::uint8_t value) { return value; }
};
struct Depth16 {
    static unsigned colour(std::uint16_t value) { return value >> 8U; }
    static unsigned grey(std::uint16_t value) { return (value + 128U) / 257U; }
};

// Appends the pixels of a decoded picture (grey, BGR or BGRA) as RGB; the fourth channel counts only where `has_alpha`.
template <class Depth, class Sample>
void append_rgb(const cv::Mat& decoded, bool has_alpha, std::vector<std::uint8_t>& rgb) {
    const int channels = decoded.channels();
    for (int y = 0; y < decoded.rows; ++y) {
        const Sample* pixel = decoded.ptr<Sample>(y);
        for (int x = 0; x < decoded.cols; ++x, pixel += channels) {
            if (channels == 1) {
                rgb.insert(rgb.end(), kChannels, static_cast<std::uint8_t>(Depth::grey(pixel[0])));
                continue;
            }
            const unsigned alpha = has_alpha ? Depth::colour(pixel[3]) : 255U;
            for (int c = kChannels - 1; c >= 0; --c) {
                rgb.push_back(over_black(Depth::colour(pixel[c]), alpha));
            }
        }
    }
}

// Turns the pixels upright. EXIF orientations 5 to 8 exchange rows and columns; then 2, 3, 6, 7 and so on mirror.
Image upright(Image image, int orientation) {
    if (orientation == 1) {
        return image;
    }
    const bool transposed = orientation >= 5;
    const int width = transposed ? image.height_px : image.width_px;
    const int height = transposed ? image.width_px : image.height_px;
    const bool mirror_x = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    const bool mirror_y = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    Image out{width, height, {}};
    out.rgb.reserve(image.rgb.size());
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            const int from_x = mirror_x ? width - 1 - x : x;
            const int from_y = mirror_y ? height - 1 - y : y;
            const int row = transposed ? from_x : from_y;
            const int column = transposed ? from_y : from_x;
            const auto pixel =
                image.rgb.begin() + (static_cast<std::ptrdiff_t>(row) * image.width_px + column) * kChannels;
            out.rgb.insert(out.rgb.end(), pixel, pixel + kChannels);
        }
    }
    return out;
}

bool starts_with(const std::vector<std::uint8_t>& bytes, std::string_view text) {
    return bytes.size() >= text.size() &&
           std::equal(text.begin(), text.end(), bytes.begin(),
                      [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

Error unreadable(const std::filesystem::path& path, const std::string& why) {
    return Error{"cannot read picture " + path.string() + ": " + why +
                 "; expected a complete JPEG, PNG, WebP, BMP or TIFF with 8 or 16 bits per channel"};
}

}  // namespace

Result<Image> read_rgb(const std::filesystem::path& path) {
    Result<std::vector<std::uint8_t>> file = read_file(path);
    if (!file) {
        return file.error();
    }
    const std::vector<std::uint8_t>& bytes = file.value();
    if (bytes.empty()) {
        return unreadable(path, "the file is empty");
    }
    if (is_cut_jpeg(bytes)) {
        return unreadable(path, "the JPEG is cut short");
    }
    // UNCHANGED keeps alpha and 16 bits. The fourth byte of a BMP is padding more often than alpha, so that is left
    // out.
    const bool bmp = starts_with(bytes, "BM"sv);
    cv::Mat decoded;
    try {
        decoded = cv::imdecode(bytes, bmp ? cv::IMREAD_COLOR : cv::IMREAD_UNCHANGED);
    } catch (const cv::Exception& error) {
        return unreadable(path, error.err);
    }
    if (decoded.empty()) {
        return unreadable(path, "not a picture, or broken");
    }
    const int channels = decoded.channels();
    if (channels != 1 && channels != 3 && channels != 4) {
        return unreadable(path, "got " + std::to_string(channels) + " channels");
    }
    // libtiff, which hands 8-bit TIFF to OpenCV, has laid alpha over black by itself.
    const bool tiff = starts_with(bytes, "II*\0"sv) || starts_with(bytes, "MM\0*"sv);
    const bool has_alpha = channels == 4 && !(tiff && decoded.depth() == CV_8U);
    Image image{decoded.cols, decoded.rows, {}};
    image.rgb.reserve(decoded.total() * kChannels);
    if (decoded.depth() == CV_8U) {
        append_rgb<Depth8, std::uint8_t>(decoded, has_alpha, image.rgb);
    } else if (decoded.depth() == CV_16U) {
        append_rgb<Depth16, std::uint16_t>(decoded, has_alpha, image.rgb);
    } else {
        return unreadable(path, "got pixels that are neither 8 nor 16 bit unsigned");
    }
    return upright(std::move(image), exif_orientation(bytes));
}

Result<std::vector<std::uint8_t>> encode_png(const Mask& mask) {
    // OpenCV only reads from the matrix here.
    const cv::Mat pixels(mask.height_px, mask.width_px, CV_8UC1, const_cast<std::uint8_t*>(mask.values.data()));
    std::vector<std::uint8_t> png;
    try {
        if (cv::imencode(".png", pixels, png)) {
            return png;
        }
    } catch (const cv::Exception& error) {
        return Error{"cannot encode the mask as PNG: " + std::string(error.err) + "; check OpenCV's installation"};
    }
    return Error{"cannot encode the mask as PNG; check OpenCV's installation"};
}

}  // namespace skyedge
