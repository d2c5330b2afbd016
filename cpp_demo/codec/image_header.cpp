#include "codec/image_header.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace skyedge {
namespace {

using namespace std::literals;

constexpr int kUpright = 1;

// A part of a file. Reads past its end return 0, so damaged lengths are harmless.
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

// Returns the orientation tag in the first directory of a TIFF structure; EXIF is one.
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
    std::uint64_t pixels = 0;    // the largest claim of a frame header, and its sides
    FrameSize size;
    std::size_t scan_start = 0;  // offset of the first scan's marker; the file's size where there is none
};

JpegHead read_jpeg_head(const Bytes& file) {
    constexpr std::uint32_t kApp1 = 0xE1, kStartOfScan = 0xDA;
    JpegHead head{kUpright, 0, {}, file.size()};
    bool found = false;
    std::size_t at = 2;
    while (at + 4 <= file.size()) {
        if (file.at(at) != 0xFF) {
            ++at;  // decoders also skip garbage between segments
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
        const bool table = marker == 0xC4 || marker == 0xC8 || marker == 0xCC;
        if (marker >= 0xC0 && marker <= 0xCF && !table) {  // start of frame: precision, height, width
            const std::uint64_t pixels = std::uint64_t{body.big16(1)} * body.big16(3);
            if (pixels > head.pixels) {
                head.pixels = pixels;
                head.size = {static_cast<int>(body.big16(3)), static_cast<int>(body.big16(1))};
            }
        }
        if (marker == kApp1 && !found && body.starts_with("Exif\0\0"sv)) {
            head.orientation = tiff_orientation(body);
            found = true;
        }
        at += 2 + file.big16(at + 2);
    }
    return head;
}

bool is_jpeg(const Bytes& file) { return file.starts_with("\xFF\xD8\xFF"sv); }

bool is_png(const Bytes& file) { return file.starts_with("\x89PNG\r\n\x1a\n"sv); }

bool is_webp(const Bytes& file) { return file.starts_with("RIFF"sv) && file.from(8).starts_with("WEBP"sv); }

// Returns the size that the first chunk claims, in one of three encodings.
std::uint64_t webp_pixels(const Bytes& file) {
    const Bytes part = file.from(12);
    const Bytes body = part.from(8);
    if (part.starts_with("VP8X"sv)) {
        return std::uint64_t{(body.little32(4) & 0xFFFFFFU) + 1} * ((body.little32(7) & 0xFFFFFFU) + 1);
    }
    if (part.starts_with("VP8L"sv)) {
        return std::uint64_t{(body.little32(1) & 0x3FFFU) + 1} * ((body.little32(1) >> 14U & 0x3FFFU) + 1);
    }
    return std::uint64_t{body.little16(6) & 0x3FFFU} * (body.little16(8) & 0x3FFFU);
}

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

std::optional<std::uint64_t> pixel_count(const std::vector<std::uint8_t>& file) {
    const Bytes bytes(file.data(), file.size());
    if (is_jpeg(bytes)) {
        return read_jpeg_head(bytes).pixels;
    }
    if (is_png(bytes)) {
        return std::uint64_t{bytes.big32(16)} * bytes.big32(20);
    }
    if (is_webp(bytes)) {
        return webp_pixels(bytes);
    }
    return std::nullopt;
}

FrameSize jpeg_size(const std::vector<std::uint8_t>& file) {
    const Bytes bytes(file.data(), file.size());
    return is_jpeg(bytes) ? read_jpeg_head(bytes).size : FrameSize{};
}

int exif_orientation(const std::vector<std::uint8_t>& file) {
    const Bytes bytes(file.data(), file.size());
    if (is_jpeg(bytes)) {
        return read_jpeg_head(bytes).orientation;
    }
    if (is_png(bytes)) {
        return png_orientation(bytes);
    }
    if (is_webp(bytes)) {
        return webp_orientation(bytes);
    }
    return kUpright;
}

bool is_cut_jpeg(const std::vector<std::uint8_t>& file) {
    const Bytes bytes(file.data(), file.size());
    if (!is_jpeg(bytes)) {
        return false;
    }
    // In scan data every 0xFF is followed by 0x00, so the end marker cannot occur in it.
    for (std::size_t at = read_jpeg_head(bytes).scan_start; at + 2 <= bytes.size(); ++at) {
        if (bytes.at(at) == 0xFF && bytes.at(at + 1) == 0xD9) {
            return false;
        }
    }
    return true;
}

namespace {

// The CRC-32 of PNG (ISO 3309), with a table.
std::uint32_t crc32(const std::uint8_t* data, std::size_t size) {
    static const std::array<std::uint32_t, 256> table = [] {
        std::array<std::uint32_t, 256> made{};
        for (std::uint32_t i = 0; i < made.size(); ++i) {
            std::uint32_t value = i;
            for (int bit = 0; bit < 8; ++bit) {
                value = (value & 1U) != 0 ? 0xEDB88320U ^ value >> 1U : value >> 1U;
            }
            made[i] = value;
        }
        return made;
    }();
    std::uint32_t crc = 0xFFFFFFFFU;
    for (std::size_t i = 0; i < size; ++i) {
        crc = table[(crc ^ data[i]) & 0xFFU] ^ crc >> 8U;
    }
    return ~crc;
}

}  // namespace

std::optional<std::string> png_damage(const std::vector<std::uint8_t>& file) {
    const Bytes bytes(file.data(), file.size());
    if (!is_png(bytes)) {
        return std::nullopt;
    }
    for (std::size_t at = 8; at + 12 <= bytes.size();) {
        const std::size_t length = bytes.big32(at);
        if (length > bytes.size() - at - 12) {
            break;
        }
        if (crc32(file.data() + at + 4, length + 4) != bytes.big32(at + 8 + length)) {
            return "a PNG chunk's CRC does not match its content";
        }
        if (bytes.from(at + 4).starts_with("IEND"sv)) {
            return std::nullopt;
        }
        at += 12 + length;
    }
    return "the PNG is cut short";
}

bool has_wrong_huffman_table(const std::vector<std::uint8_t>& file) {
    constexpr std::uint32_t kHuffmanTables = 0xC4;
    constexpr std::size_t kLengths = 16, kMostCodes = 256;
    const Bytes bytes(file.data(), file.size());
    if (!is_jpeg(bytes)) {
        return false;
    }
    // Tables may come between scans, so every marker is checked. 0xFF 0x00 and restart markers inside a scan are skipped.
    for (std::size_t at = 2; at + 4 <= bytes.size();) {
        const std::uint32_t marker = bytes.at(at + 1);
        const bool data =
            bytes.at(at) != 0xFF || marker == 0x00 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);
        if (data || marker == 0xFF) {
            ++at;
            continue;
        }
        const std::size_t end = at + 2 + bytes.big16(at + 2);
        if (marker == kHuffmanTables) {
            for (std::size_t table = at + 4; table < end;) {
                std::size_t codes = 0;
                for (std::size_t i = 1; i <= kLengths; ++i) {
                    codes += bytes.at(table + i);
                }
                if (codes > kMostCodes) {
                    return true;
                }
                table += 1 + kLengths + codes;
            }
        }
        at = end;
    }
    return false;
}

}  // namespace skyedge
