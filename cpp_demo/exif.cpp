#include "exif.h"

#include <cstddef>
#include <string_view>

namespace skyedge {
namespace {

using namespace std::literals;

constexpr int kUpright = 1;

// A stretch of a file; reads past its end give zeros, so that damaged lengths lead nowhere.
class Bytes {
public:
    Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

    std::size_t size() const { return size_; }
    std::uint32_t at(std::size_t i) const { return i < size_ ? data_[i] : 0U; }
    std::uint32_t big16(std::size_t i) const { return at(i) << 8 | at(i + 1); }
    std::uint32_t big32(std::size_t i) const { return big16(i) << 16 | big16(i + 2); }
    std::uint32_t little16(std::size_t i) const { return at(i) | at(i + 1) << 8; }
    std::uint32_t little32(std::size_t i) const { return little16(i) | little16(i + 2) << 16; }

    Bytes from(std::size_t start) const {
        return start < size_ ? Bytes(data_ + start, size_ - start) : Bytes(data_, 0);
    }
    bool starts_with(std::string_view text) const {
        return size_ >= text.size() && std::string_view(reinterpret_cast<const char*>(data_), text.size()) == text;
    }

private:
    const std::uint8_t* data_;
    std::size_t size_;
};

// The orientation tag in the first directory of a TIFF structure, which is what EXIF is.
int tiff_orientation(Bytes tiff) {
    if (tiff.starts_with("Exif\0\0"sv)) {
        tiff = tiff.from(6);
    }
    const bool little = tiff.starts_with("II"sv);
    if (!little && !tiff.starts_with("MM"sv)) {
        return kUpright;
    }
    const auto word = [&](std::size_t i) { return little ? tiff.little16(i) : tiff.big16(i); };
    const auto dword = [&](std::size_t i) { return little ? tiff.little32(i) : tiff.big32(i); };
    constexpr std::uint32_t kOrientationTag = 0x0112, kShort = 3, kLong = 4;
    const std::size_t directory = dword(4);
    const std::uint32_t entries = word(directory);
    for (std::uint32_t i = 0; i < entries; ++i) {
        const std::size_t entry = directory + 2 + std::size_t{12} * i;
        if (entry + 12 > tiff.size()) {
            return kUpright;
        }
        if (word(entry) == kOrientationTag) {
            const std::uint32_t type = word(entry + 2);
            const std::uint32_t value = type == kShort ? word(entry + 8) : type == kLong ? dword(entry + 8) : 0U;
            return value >= 1 && value <= 8 ? static_cast<int>(value) : kUpright;
        }
    }
    return kUpright;
}

struct JpegHead {
    int orientation = kUpright;
    std::size_t scan_start = 0;  // offset of the first scan's marker; the file's size where there is none
};

JpegHead read_jpeg_head(const Bytes& file) {
    constexpr std::uint32_t kApp1 = 0xE1, kStartOfScan = 0xDA;
    JpegHead head{kUpright, file.size()};
    bool found = false;
    std::size_t at = 2;
    while (at + 4 <= file.size()) {
        if (file.at(at) != 0xFF) {
            ++at;  // garbage between segments, which decoders skip too
            continue;
        }
        const std::uint32_t marker = file.at(at + 1);
        if (marker == 0xFF || marker == 0x00 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) {
            at += marker == 0xFF ? 1 : 2;  // padding, or a marker without a length
            continue;
        }
        if (marker == kStartOfScan) {
            head.scan_start = at;
            return head;
        }
        const Bytes body = file.from(at + 4);
        if (marker == kApp1 && !found && body.starts_with("Exif\0\0"sv)) {
            head.orientation = tiff_orientation(body);
            found = true;
        }
        at += 2 + file.big16(at + 2);
    }
    return head;
}

bool is_jpeg(const Bytes& file) { return file.starts_with("\xFF\xD8\xFF"sv); }

int png_orientation(const Bytes& file) {
    for (std::size_t at = 8; at + 12 <= file.size(); at += 12 + file.big32(at)) {
        if (file.from(at + 4).starts_with("eXIf"sv)) {
            return tiff_orientation(file.from(at + 8));
        }
    }
    return kUpright;
}

int webp_orientation(const Bytes& file) {
    for (std::size_t at = 12; at + 8 <= file.size();) {
        if (file.from(at).starts_with("EXIF"sv)) {
            return tiff_orientation(file.from(at + 8));
        }
        const std::size_t length = file.little32(at + 4);
        at += 8 + length + length % 2;
    }
    return kUpright;
}

}  // namespace

int exif_orientation(const std::vector<std::uint8_t>& file) {
    const Bytes bytes(file.data(), file.size());
    if (is_jpeg(bytes)) {
        return read_jpeg_head(bytes).orientation;
    }
    if (bytes.starts_with("\x89PNG\r\n\x1a\n"sv)) {
        return png_orientation(bytes);
    }
    if (bytes.starts_with("RIFF"sv) && bytes.from(8).starts_with("WEBP"sv)) {
        return webp_orientation(bytes);
    }
    return kUpright;
}

bool is_cut_jpeg(const std::vector<std::uint8_t>& file) {
    const Bytes bytes(file.data(), file.size());
    if (!is_jpeg(bytes)) {
        return false;
    }
    // Inside a scan every 0xFF of the data is followed by 0x00, so the end marker cannot occur by chance.
    for (std::size_t at = read_jpeg_head(bytes).scan_start; at + 2 <= bytes.size(); ++at) {
        if (bytes.at(at) == 0xFF && bytes.at(at + 1) == 0xD9) {
            return false;
        }
    }
    return true;
}

}  // namespace skyedge
