#include "codec/image_io.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "codec/codec.h"
#include "core/artifact/files.h"
#include "codec/image_header.h"

namespace skyedge {
namespace {

constexpr int kChannels = 3;
constexpr std::uint64_t kMostPixels = 178956970;  // Pillow's limit, the same as in Python

// Blends over black: round(value * alpha / 255).
std::uint8_t over_black(unsigned value, unsigned alpha) {
    return static_cast<std::uint8_t>((2 * value * alpha + 255) / 510);
}

// Converts a sample of 8 or 16 bits to 8.
struct Depth8 {
    static unsigned color(std::uint8_t value) { return value; }
    static unsigned gray(std::uint8_t value) { return value; }
};
struct Depth16 {
    static unsigned color(std::uint16_t value) { return value >> 8U; }
    static unsigned gray(std::uint16_t value) { return (value + 128U) / 257U; }
};

template <class Depth, class Sample>
Image to_rgb(const RawImage& raw) {
    Image image{raw.width_px, raw.height_px, {}};
    const std::size_t count = static_cast<std::size_t>(raw.width_px) * static_cast<std::size_t>(raw.height_px);
    image.rgb.resize(count * kChannels);
    const auto* sample = static_cast<const Sample*>(raw.samples.get());
    std::uint8_t* out = image.rgb.data();
    const int channels = raw.channels;
    const int red = channels < kChannels ? 0 : (raw.blue_first ? 2 : 0);
    const int green = channels < kChannels ? 0 : 1;
    const int blue = channels < kChannels ? 0 : 2 - red;
    for (std::size_t i = 0; i < count; ++i, sample += channels, out += kChannels) {
        if (channels == 1) {
            out[0] = out[1] = out[2] = static_cast<std::uint8_t>(Depth::gray(sample[0]));
            continue;
        }
        const unsigned alpha = raw.has_alpha ? Depth::color(sample[channels - 1]) : 255U;
        out[0] = over_black(Depth::color(sample[red]), alpha);
        out[1] = over_black(Depth::color(sample[green]), alpha);
        out[2] = over_black(Depth::color(sample[blue]), alpha);
    }
    return image;
}

// Applies the EXIF orientation: 5 to 8 swap rows and columns, then some mirror one or both axes.
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

Error unreadable(const std::string& name, const std::string& why) {
    return Error{"cannot read image " + name + ": " + why + "; expected a complete " + kImageFormats +
                 " with 8 or 16 bits per channel"};
}

}  // namespace

Result<Photo> decode_photo(const std::vector<std::uint8_t>& file, const std::string& name, int least_px) {
    if (file.empty()) {
        return unreadable(name, "the file is empty");
    }
    if (is_cut_jpeg(file)) {
        return unreadable(name, "the JPEG is cut short");
    }
    const std::optional<std::uint64_t> count = pixel_count(file);
    if (!count) {
        return unreadable(name, "got a file of another kind");
    }
    if (*count > kMostPixels) {
        return unreadable(name, "it claims " + std::to_string(*count) + " pixels, more than 178 million");
    }
    if (const std::optional<std::string> damage = png_damage(file)) {
        return unreadable(name, *damage);
    }
    const FrameSize full = jpeg_size(file);
    int shrink = 1;
    while (least_px > 0 && shrink < 8 && std::min(full.width_px, full.height_px) / (2 * shrink) >= least_px) {
        shrink *= 2;
    }
    const Result<RawImage> decoded = decode(file, shrink);
    if (!decoded) {
        return unreadable(name, decoded.error().message);
    }
    const RawImage& raw = decoded.value();
    if (raw.width_px < 1 || raw.height_px < 1 || raw.channels < 1 || raw.channels > 4) {
        return unreadable(name, "got " + std::to_string(raw.width_px) + " x " + std::to_string(raw.height_px) + " pixels of " +
                                    std::to_string(raw.channels) + " channels");
    }
    Image image = raw.deep ? to_rgb<Depth16, std::uint16_t>(raw) : to_rgb<Depth8, std::uint8_t>(raw);
    const int orientation = exif_orientation(file);
    Photo photo{upright(std::move(image), orientation), {}};
    photo.full = shrink == 1      ? FrameSize{photo.image.width_px, photo.image.height_px}
                 : orientation >= 5 ? FrameSize{full.height_px, full.width_px}
                                    : full;
    return photo;
}

Result<Photo> read_photo(const std::filesystem::path& path, int least_px) {
    const Result<std::vector<std::uint8_t>> file = read_file(path);
    return file ? decode_photo(file.value(), path.string(), least_px) : file.error();
}

Result<Image> decode_rgb(const std::vector<std::uint8_t>& file, const std::string& name) {
    Result<Photo> photo = decode_photo(file, name, 0);
    return photo ? Result<Image>(std::move(photo.value().image)) : photo.error();
}

Result<Image> read_rgb(const std::filesystem::path& path) {
    Result<Photo> photo = read_photo(path, 0);
    return photo ? Result<Image>(std::move(photo.value().image)) : photo.error();
}

Result<std::vector<std::uint8_t>> encode_png(const Mask& mask) {
    std::optional<std::vector<std::uint8_t>> png = encode_gray_png(mask);
    if (!png) {
        return Error{"cannot encode the mask as PNG; check that there is memory left"};
    }
    return std::move(*png);
}

}  // namespace skyedge
