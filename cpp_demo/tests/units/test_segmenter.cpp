// Images with known outputs, and artifacts that pass the file checks but do not run.
#include <cmath>
#include <thread>

#include "tests/check.h"
#include "skyedge/sky_segmenter.h"
#include "tests/tiny_artifact.h"

namespace {

namespace fs = std::filesystem;
using skyedge::Image;
using skyedge::SkySegmenter;
using skyedge::test::tiny_bin;
using skyedge::test::tiny_param;
using skyedge::test::tiny_spec;
using skyedge::test::write_tiny;

Image plain(int width_px, int height_px, std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
    Image image{width_px, height_px, {}};
    for (int i = 0; i < width_px * height_px; ++i) {
        image.rgb.insert(image.rgb.end(), {red, green, blue});
    }
    return image;
}

void check_plain(const SkySegmenter& segmenter, int width_px, int height_px) {
    const auto sky = segmenter.segment(plain(width_px, height_px, 10, 200, 150));
    CHECK(static_cast<bool>(sky));
    if (!sky) {
        return;
    }
    CHECK(sky.value().width_px == width_px && sky.value().height_px == height_px);
    CHECK(sky.value().values.size() == static_cast<std::size_t>(width_px * height_px));
    const double expected = skyedge::test::tiny_probability(10, 200, 150);
    for (const float p : sky.value().values) {
        CHECK(std::abs(p - expected) < 1e-6);
    }
}

void test_known_answer(const fs::path& folder) {
    write_tiny(folder);
    const auto loaded = SkySegmenter::load(folder, {1});
    CHECK(static_cast<bool>(loaded));
    if (!loaded) {
        std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
        return;
    }
    check_plain(loaded.value(), 8, 8);
    check_plain(loaded.value(), 1, 1);
    check_plain(loaded.value(), 100, 3);
    CHECK(!loaded.value().segment(Image{}));
    CHECK(!loaded.value().segment(Image{2, 2, {0, 0, 0}}));

    std::thread other([&] { check_plain(loaded.value(), 33, 20); });
    check_plain(loaded.value(), 20, 33);
    other.join();
}

void test_moves(const fs::path& folder) {
    write_tiny(folder);
    auto first = SkySegmenter::load(folder, {1});
    auto second = SkySegmenter::load(folder, {2});
    CHECK(first && second);
    if (first && second) {
        first.value() = std::move(second.value());
        check_plain(first.value(), 5, 5);
    }
}

// Half precision, a GPU and big cores are used if they exist and give right results; otherwise the mask is the same, with a note.
void test_options(const fs::path& folder) {
    write_tiny(folder);
    skyedge::Options options;
    options.self_test = true;
    CHECK(static_cast<bool>(SkySegmenter::load(folder, options)));
    options.fp16 = options.vulkan = options.big_cores = true;
    const auto fast = SkySegmenter::load(folder, options);
    CHECK(static_cast<bool>(fast));
    if (fast) {
        const auto sky = fast.value().segment(plain(8, 8, 10, 200, 150));
        CHECK(sky && std::abs(sky.value().values[0] - skyedge::test::tiny_probability(10, 200, 150)) < 0.03);
    }
    skyedge::test::write_text(folder / "golden_out.npy", skyedge::test::tiny_golden_output(0.2));
    const auto wrong = SkySegmenter::load(folder, options);
    CHECK(!wrong);
    CHECK_HOLDS(wrong ? std::string() : wrong.error().message, "got a golden output that is 0.2");
    options.self_test = options.vulkan = options.big_cores = false;
    for (const char* reason : {"got a golden output that is 0.2", "got no golden pair"}) {
        const auto fallen_back = SkySegmenter::load(folder, options);
        CHECK(fallen_back && fallen_back.value().notes().size() == 1);
        if (fallen_back && fallen_back.value().notes().size() == 1) {
            CHECK_HOLDS(fallen_back.value().notes()[0], reason);
            CHECK_HOLDS(fallen_back.value().notes()[0], "float32 on the CPU is used instead");
            check_plain(fallen_back.value(), 20, 33);
        }
        fs::remove(folder / "golden_out.npy");
    }
}

std::string load_refusal(const fs::path& folder, const std::string& param, const std::string& bin,
                         const std::string& pointer = "", const std::string& value = "") {
    nlohmann::json spec = tiny_spec(param, bin);
    if (!pointer.empty()) {
        spec[nlohmann::json::json_pointer(pointer)] = value;
    }
    write_tiny(folder, spec, param, bin);
    const auto loaded = SkySegmenter::load(folder, {1});
    CHECK(!loaded);
    return loaded ? std::string() : loaded.error().message;
}

void test_load_refusals(const fs::path& folder) {
    const std::string param = tiny_param(), bin = tiny_bin();
    CHECK_HOLDS(load_refusal(folder, param.substr(0, param.size() / 2), bin), "tiny-8-fp32-ncnn: got '3 3' on line 2");
    CHECK_HOLDS(load_refusal(folder, param, bin + "1234"), "got 4 bytes in .bin beyond");
    CHECK_HOLDS(load_refusal(folder, param, bin, "/input/name", "image"), "for input.name are 'in0'");
    CHECK_HOLDS(load_refusal(folder, param, bin, "/output/name", "sky"), "for output.name are 'out0'");
    write_tiny(folder);
    CHECK(!SkySegmenter::load(folder, {0}));
    CHECK(!SkySegmenter::load(folder, {65}));
}

void test_answers_that_are_no_probability(const fs::path& folder) {
    // Logits instead of a sigmoid: the rectifier lets values above 1 through.
    std::string logits = tiny_param();
    logits.replace(logits.find("Sigmoid"), 7, "ReLU");
    std::string bin = tiny_bin();
    const float large = 7.0F;
    std::memcpy(bin.data() + 16, &large, sizeof large);
    write_tiny(folder, tiny_spec(logits, bin), logits, bin);
    const auto loaded = SkySegmenter::load(folder, {1});
    CHECK(static_cast<bool>(loaded));
    if (loaded) {
        const auto sky = loaded.value().segment(plain(8, 8, 127, 127, 127));
        CHECK(!sky);
        CHECK_HOLDS(sky ? std::string() : sky.error().message, "expected 0 to 1");
    }
    // Two channels instead of one.
    std::string two = tiny_param();
    two.replace(two.find("0=1 1=1 5=1 6=3"), 15, "0=2 1=1 5=0 6=6");
    std::string weights(4 + 6 * sizeof(float), '\0');
    write_tiny(folder, tiny_spec(two, weights), two, weights);
    const auto wide = SkySegmenter::load(folder, {1});
    CHECK(static_cast<bool>(wide));
    if (wide) {
        const auto sky = wide.value().segment(plain(8, 8, 0, 0, 0));
        CHECK(!sky);
        CHECK_HOLDS(sky ? std::string() : sky.error().message, "expected one channel");
    }
}

}  // namespace

int main() {
    const skyedge::test::ScratchFolder scratch;
    test_known_answer(scratch.path() / "known");
    test_moves(scratch.path() / "moves");
    test_options(scratch.path() / "options");
    test_load_refusals(scratch.path() / "refusals");
    test_answers_that_are_no_probability(scratch.path() / "answers");
    return skyedge::test::finish();
}
