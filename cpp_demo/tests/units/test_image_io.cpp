// Decoding to RGB: alpha, 16 bits, gray, EXIF orientation, and files that must be refused.
#include <algorithm>
#include <filesystem>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "tests/check.h"
#include "cli/output_file.h"
#include "core/artifact/files.h"
#include "codec/image_io.h"

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

Bytes encode(const std::string& suffix, const cv::Mat& image) {
    Bytes bytes;
    CHECK(cv::imencode(suffix, image, bytes));
    return bytes;
}

Bytes decode(const fs::path& folder, const std::string& name, const Bytes& file) {
    CHECK(!skyedge::write_file(folder / name, file));
    const auto image = skyedge::read_rgb(folder / name);
    CHECK(static_cast<bool>(image));
    return image ? image.value().rgb : Bytes{};
}

void test_pixels(const fs::path& folder) {
    const cv::Mat color(1, 2, CV_8UC3, cv::Scalar(3, 2, 1));  // B, G, R
    CHECK((decode(folder, "rgb.png", encode(".png", color)) == Bytes{1, 2, 3, 1, 2, 3}));

    cv::Mat alpha(1, 3, CV_8UC4, cv::Scalar(200, 100, 50, 255));
    alpha.at<cv::Vec4b>(0, 1)[3] = 128;
    alpha.at<cv::Vec4b>(0, 2)[3] = 0;
    CHECK((decode(folder, "rgba.png", encode(".png", alpha)) == Bytes{50, 100, 200, 25, 50, 100, 0, 0, 0}));

    const cv::Mat gray = (cv::Mat_<std::uint8_t>(1, 2) << 7, 250);
    CHECK((decode(folder, "gray.png", encode(".png", gray)) == Bytes{7, 7, 7, 250, 250, 250}));

    // 16-bit gray is divided by 257 and rounded; 16-bit color keeps its upper byte, as Pillow does.
    const cv::Mat gray16 = (cv::Mat_<std::uint16_t>(1, 3) << 128, 129, 65535);
    CHECK((decode(folder, "gray16.png", encode(".png", gray16)) == Bytes{0, 0, 0, 1, 1, 1, 255, 255, 255}));
    const cv::Mat color16(1, 1, CV_16UC3, cv::Scalar(0x03FF, 0x0200, 0x01FF));
    CHECK((decode(folder, "rgb16.png", encode(".png", color16)) == Bytes{1, 2, 3}));
}

// A JPEG with an APP1 segment that holds nothing but the orientation.
Bytes with_orientation(Bytes jpeg, std::uint8_t orientation) {
    const Bytes app1 = {0xFF, 0xE1, 0, 34, 'E', 'x', 'i', 'f', 0, 0, 'M', 'M',         0, 42, 0, 0, 0, 8,
                        0,    1,    1, 18, 0,   3,   0,   0,   0, 1, 0,   orientation, 0, 0,  0, 0, 0, 0};
    jpeg.insert(jpeg.begin() + 2, app1.begin(), app1.end());
    return jpeg;
}

void test_orientation(const fs::path& folder) {
    cv::Mat image(16, 32, CV_8UC1, cv::Scalar(0));
    image(cv::Rect(0, 0, 16, 8)).setTo(255);  // the upper left quarter is white
    const Bytes jpeg = encode(".jpg", image);
    struct Case {
        std::uint8_t orientation;
        int width_px, white_x, white_y;  // a pixel in the white quarter once upright
    };
    const Case cases[] = {{1, 32, 4, 2}, {2, 32, 28, 2}, {3, 32, 28, 13}, {4, 32, 4, 13},
                          {5, 16, 2, 4}, {6, 16, 13, 4}, {7, 16, 13, 28}, {8, 16, 2, 28}};
    for (const Case& expected : cases) {
        CHECK(!skyedge::write_file(folder / "turned.jpg", with_orientation(jpeg, expected.orientation)));
        const auto turned = skyedge::read_rgb(folder / "turned.jpg");
        CHECK(static_cast<bool>(turned));
        if (!turned) {
            continue;
        }
        CHECK(turned.value().width_px == expected.width_px);
        const auto brightness = [&](int x, int y) {
            return turned.value().rgb[static_cast<std::size_t>((y * expected.width_px + x) * 3)];
        };
        const int height = 16 * 32 / expected.width_px;
        CHECK(brightness(expected.white_x, expected.white_y) > 200);
        CHECK(brightness(expected.width_px - 1 - expected.white_x, height - 1 - expected.white_y) < 50);
    }
}

void test_refusals(const fs::path& folder) {
    const auto message = [&](const std::string& name, const Bytes& file) {
        CHECK(!skyedge::write_file(folder / name, file));
        const auto image = skyedge::read_rgb(folder / name);
        CHECK(!image);
        return image ? std::string() : image.error().message;
    };
    CHECK_HOLDS(message("empty.png", {}), "the file is empty");
    CHECK_HOLDS(message("text.png", {'h', 'e', 'l', 'l', 'o'}), "expected a complete JPEG, PNG");
    cv::Mat noise(64, 64, CV_8UC3);
    cv::randu(noise, 0, 256);
    for (const char* suffix : {".jpg", ".png"}) {
        Bytes cut = encode(suffix, noise);
        cut.resize(cut.size() / 2);
        CHECK_HOLDS(message("cut" + std::string(suffix), cut), "cannot read image");
    }
    CHECK_HOLDS(message("other.bmp", encode(".bmp", noise)), "a file of another kind");
    const auto missing = skyedge::read_rgb(folder / "missing.png");
    CHECK(!missing && missing.error().message.find("No such file") != std::string::npos);
    CHECK(!skyedge::read_rgb(folder));
}

void test_mask_survives(const fs::path& folder) {
    const skyedge::Mask mask{3, 2, {0, 1, 127, 128, 254, 255}};
    const auto png = skyedge::encode_png(mask);
    CHECK(static_cast<bool>(png));
    CHECK(!skyedge::write_file(folder / "mask.png", png.value()));
    const cv::Mat back = cv::imread((folder / "mask.png").string(), cv::IMREAD_UNCHANGED);
    CHECK(back.type() == CV_8UC1 && back.rows == 2 && back.cols == 3);
    CHECK(std::equal(mask.values.begin(), mask.values.end(), back.begin<std::uint8_t>()));
}

void test_write_leaves_no_half(const fs::path& folder) {
    CHECK(skyedge::write_file(folder / "missing" / "mask.png", {1}).has_value());
    fs::create_directory(folder / "taken");
    CHECK(skyedge::write_file(folder / "taken", {1}).has_value());  // the rename onto a folder fails
    for (const auto& entry : fs::directory_iterator(folder)) {
        CHECK(entry.path().extension() != ".partial");
    }
}

}  // namespace

int main() {
    const skyedge::test::ScratchFolder scratch;
    test_pixels(scratch.path());
    test_orientation(scratch.path());
    test_refusals(scratch.path());
    test_mask_survives(scratch.path());
    test_write_leaves_no_half(scratch.path());
    return skyedge::test::finish();
}
