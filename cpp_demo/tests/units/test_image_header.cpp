// Image files whose headers claim more than the file holds.
#include "tests/check.h"
#include "codec/image_io.h"
#include "codec/image_header.h"

namespace {

std::vector<std::uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }
std::string zeros(std::size_t count) { return std::string(count, '\0'); }
// A list of bytes that may hold zeros.
template <std::size_t kSize>
std::string raw(const char (&text)[kSize]) {
    return {text, kSize - 1};
}

std::optional<std::uint64_t> count(const std::string& file) { return skyedge::pixel_count(bytes(file)); }

void test_pixel_count() {
    const std::string png = raw("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\0\2\1");
    CHECK(count(png) == 65536U * 513U);
    CHECK(count(raw("\xFF\xD8\xFF\xE0\0\x04zz\xFF\xC2\0\x0B\x08\0\x02\x01\0")) == 512U);
    CHECK(count(raw("\xFF\xD8\xFF\xC4\0\x08zzzzzz\xFF\xD9")) == 0U);
    CHECK(count(raw("RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0\x01\0\0\xFF\xFF\xFF")) == 2U * 16777216U);
    CHECK(count(raw("RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2F\x02\x40\0\0")) == 6U);
    CHECK(count(raw("RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9D\x01\x2A\x07\0\x05\0")) == 35U);
    CHECK(!count("BM") && !count(raw("II*\0\x08\0\0\0")) && !count("GIF89a") && !count("") && !count("P6 1 1 255 abc"));
}

void test_large_claims_are_refused() {
    const auto refused = [](const std::string& file) {
        const auto image = skyedge::decode_rgb(bytes(file), "name");
        return image ? std::string() : image.error().message;
    };
    CHECK_HOLDS(refused(raw("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\x08\x02\0\0\0")),
                "claims 4294967296 pixels");
    CHECK_HOLDS(refused("GIF89a"), "cannot read image name: got a file of another kind");
    CHECK_HOLDS(refused(""), "the file is empty");
}

void test_huffman_tables() {
    const auto wrong = [](const std::string& file) { return skyedge::has_wrong_huffman_table(bytes(file)); };
    const std::string start = raw("\xFF\xD8\xFF\xC4");
    CHECK(!wrong(start + raw("\0\x14\0\x01") + zeros(15) + "a"));
    CHECK(wrong(start + raw("\0\x14\0\xFF\xFF") + zeros(14)));
    // The second table of a segment, a table behind a scan, and one whose segment ends before its counts.
    CHECK(wrong(start + raw("\0\x25\0\x01") + zeros(15) + "a" + raw("\x01\xFF\xFF") + zeros(14)));
    CHECK(wrong(raw("\xFF\xD8\xFF\xDA\0\x02\x12\xFF\0\xFF\xD0\x34\xFF\xFF\xC4\0\x14\0\xFF\xFF") + zeros(14)));
    CHECK(wrong(start + raw("\0\x03\0\xFF\xFF") + zeros(14)));
    CHECK(!wrong(raw("\xFF\xD8\xFF\xE1\0\x16\xFF\xC4\0\x14\0\xFF\xFF") + zeros(14)));  // inside another segment
    CHECK(!wrong("no JPEG"));
}

void test_png_damage() {
    const auto damage = [](const std::string& file) { return skyedge::png_damage(bytes(file)).value_or("none"); };
    const std::string start = raw("\x89PNG\r\n\x1a\n\0\0\0\0IDAT\x35\xAF\x06\x1E\0\0\0\3abcd123\xE8\x4E\xE1\x77");
    const std::string end = raw("\0\0\0\0IEND\xAE\x42\x60\x82");
    CHECK(damage(start + end) == "none" && damage(start + end + "more") == "none" && damage("no PNG") == "none");
    for (const std::string& cut : {start, start + end.substr(0, 11), start + raw("\x3E\0\0\0IDAT") + end,
                                   start + raw("\xFF\xFF\xFF\xFFIDAT") + end}) {
        CHECK_HOLDS(damage(cut), "cut short");
    }
    CHECK_HOLDS(damage(start + raw("\0\0\0\1IDATx\0\0\0\0") + end), "CRC");
    CHECK_HOLDS(damage(start + end.substr(0, 11) + "x"), "CRC");
    CHECK_HOLDS(damage(start + raw("\0\0\0\3tEXt123crc_") + end), "CRC");
    CHECK_HOLDS(damage(start.substr(0, 8) + raw("\0\0\0\3tEXt123crc_") + start.substr(8) + end), "CRC");
}

}  // namespace

int main() {
    test_png_damage();
    test_pixel_count();
    test_large_claims_are_refused();
    test_huffman_tables();
    return skyedge::test::finish();
}
