// The resize against Pillow's bytes (golden/resize.txt, see write_golden.py), and the way back to the image's size.
#include <cmath>
#include <fstream>

#include "tests/check.h"
#include "skyedge/image_ops.h"
#include "core/artifact/sha256.h"

namespace {

using skyedge::Image;
using skyedge::Mask;
using skyedge::Probability;

Image noise(std::uint32_t seed, int width_px, int height_px) {
    Image image{width_px, height_px, {}};
    std::uint32_t x = seed;
    for (int i = 0; i < width_px * height_px * 3; ++i) {
        x = 1664525U * x + 1013904223U;
        image.rgb.push_back(static_cast<std::uint8_t>(x >> 24U));
    }
    return image;
}

void test_resize_equals_pillow(const std::string& golden) {
    std::ifstream lines(golden);
    std::uint32_t seed = 0;
    int in_width = 0, in_height = 0, width = 0, height = 0, cases = 0;
    std::string digest;
    while (lines >> seed >> in_width >> in_height >> width >> height >> digest) {
        const Image resized = skyedge::resize_pillow_bilinear(noise(seed, in_width, in_height), width, height);
        CHECK(resized.width_px == width && resized.height_px == height);
        skyedge::test::check(skyedge::sha256_hex(resized.rgb.data(), resized.rgb.size()) == digest,
                             "case " + std::to_string(seed) + " differs from Pillow", __FILE__, __LINE__);
        ++cases;
    }
    CHECK(cases >= 50);
}

void test_constant_stays_constant() {
    for (const int value : {0, 1, 127, 255}) {
        Image image{31, 17, std::vector<std::uint8_t>(31 * 17 * 3, static_cast<std::uint8_t>(value))};
        const Image resized = skyedge::resize_pillow_bilinear(image, 64, 5);
        for (const std::uint8_t byte : resized.rgb) {
            CHECK(byte == value);
        }
    }
}

Probability resize_probability(const Probability& probability, int width_px, int height_px) {
    Probability out;
    skyedge::ProbabilityResizer().resize(probability, width_px, height_px, out);
    return out;
}

void test_probability() {
    const Probability line{2, 1, {0.0F, 1.0F}};
    // Half-pixel centers: output pixels 0..3 lie at -0.25, 0.25, 0.75, 1.25 of the input; the edges are clamped.
    CHECK((resize_probability(line, 4, 1).values == std::vector<float>{0.0F, 0.25F, 0.75F, 1.0F}));
    CHECK((resize_probability(Probability{1, 2, {0.0F, 1.0F}}, 1, 4).values ==
           std::vector<float>{0.0F, 0.25F, 0.75F, 1.0F}));
    CHECK((resize_probability(Probability{4, 1, {0.0F, 0.5F, 0.5F, 1.0F}}, 2, 1).values ==
           std::vector<float>{0.25F, 0.75F}));
    CHECK(resize_probability(line, 2, 1).values == line.values);
    CHECK(resize_probability(Probability{1, 1, {0.3F}}, 3, 2).values == std::vector<float>(6, 0.3F));
}

void test_mask_rounds_half_to_even() {
    // p x 255 is exactly 0.5, 1.5 and 2.5 here.
    const Mask mask = skyedge::to_mask8({6, 1, {0.5F / 255, 1.5F / 255, 2.5F / 255, -0.1F, 1.1F, 0.5F}});
    CHECK((mask.values == std::vector<std::uint8_t>{0, 2, 2, 0, 255, 128}));
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 2);
    test_resize_equals_pillow(argc == 2 ? argv[1] : "");
    test_constant_stays_constant();
    test_probability();
    test_mask_rounds_half_to_even();
    return skyedge::test::finish();
}
