// A live stream: which frames are dropped, and what the stabilizer does to a sky that flickers or moves.
#include <cmath>
#include <random>
#include <thread>

#include "tests/check.h"
#include "skyedge/frame_segmenter.h"
#include "tests/tiny_artifact.h"

namespace {

using skyedge::FrameOutcome;
using skyedge::FrameSegmenter;
using skyedge::Image;
using skyedge::Motion;
using skyedge::Probability;
using skyedge::Stabilizer;

constexpr int kSide = 96;
constexpr std::size_t kPixels = std::size_t{kSide} * kSide;

// Smooth noise that a camera at (shift, 0) sees.
Image scene(double shift, std::uint32_t seed = 1) {
    std::mt19937 random(seed);
    double phase[12], fx[12], fy[12];
    for (int i = 0; i < 12; ++i) {
        phase[i] = static_cast<double>(random() % 628) / 100;
        fx[i] = static_cast<double>(random() % 60) / 100 - 0.3;
        fy[i] = static_cast<double>(random() % 60) / 100 - 0.3;
    }
    Image image{kSide, kSide, {}};
    for (int y = 0; y < kSide; ++y) {
        for (int x = 0; x < kSide; ++x) {
            double sum = 0;
            for (int i = 0; i < 12; ++i) {
                sum += std::sin(phase[i] + fx[i] * (x + shift) + fy[i] * y);
            }
            image.rgb.insert(image.rgb.end(), 3, static_cast<std::uint8_t>(std::lround(128 + 15 * sum)));
        }
    }
    return image;
}

// Sky to the left of `edge`. The probabilities stay away from 0 and 1, so that clamping does not bias the noise.
Probability sky_left_of(double edge, double noise = 0.0, std::uint32_t seed = 1) {
    std::mt19937 random(seed);
    Probability sky{kSide, kSide, {}};
    for (std::size_t i = 0; i < kPixels; ++i) {
        const double x = static_cast<double>(i % kSide);
        const double p = 0.25 + 0.5 / (1 + std::exp((x - edge) / 2)) + noise * (static_cast<double>(random() % 201) / 100 - 1);
        sky.values.push_back(static_cast<float>(std::min(1.0, std::max(0.0, p))));
    }
    return sky;
}

double apart(const Probability& a, const Probability& b) {
    double sum = 0;
    for (std::size_t i = 0; i < kPixels; ++i) {
        sum += std::abs(a.values[i] - b.values[i]);
    }
    return sum / static_cast<double>(kPixels);
}

// Returns the remaining noise of a sequence whose camera moves by `speed` pixels per frame.
double noise_left(double speed, bool tell, bool stabilize) {
    Stabilizer stabilizer;
    Motion motion;
    motion.c = speed;
    double left = 0;
    for (std::uint32_t i = 0; i < 8; ++i) {
        Probability sky = sky_left_of(48 - speed * i, 0.2, i + 1);
        if (stabilize) {
            CHECK(!stabilizer.step(scene(speed * i), sky, tell ? &motion : nullptr));
        }
        left = apart(sky, sky_left_of(48 - speed * i));
    }
    return left;
}

void test_stabilizer() {
    for (const double speed : {0.0, 1.5}) {
        const double before = noise_left(speed, false, false);
        std::printf("noise left: %.2f of it; with the motion told %.2f\n", noise_left(speed, false, true) / before,
                    noise_left(speed, true, true) / before);
        CHECK(noise_left(speed, false, true) < 0.7 * before);  // motion from corners
        CHECK(noise_left(speed, true, true) < 0.7 * before);   // motion given
    }
    Stabilizer stabilizer;
    Probability first = sky_left_of(20), other = sky_left_of(80);
    CHECK(!stabilizer.step(scene(0), first));
    CHECK(!stabilizer.step(scene(0, 9), other));  // a cut: nothing of the old scene is left
    CHECK(stabilizer.cuts() == 1 && apart(other, sky_left_of(80)) == 0);
    Probability wrong{8, 8, std::vector<float>(64)};
    CHECK(static_cast<bool>(stabilizer.step(scene(0), wrong)));
    skyedge::StabilizerConfig config;
    config.memory = 0;
    CHECK(static_cast<bool>(Stabilizer(config).step(scene(0), first)));
}

void test_drops(const std::filesystem::path& folder) {
    skyedge::test::write_tiny(folder);
    auto network = skyedge::SkySegmenter::load(folder);
    CHECK(static_cast<bool>(network));
    if (!network) {
        return;
    }
    skyedge::LiveOptions options;
    options.stabilize = false;  // the tiny network is smaller than the stabilizer's minimum
    options.max_age_ns = 50;
    FrameSegmenter live(network.value(), options);
    std::vector<std::uint8_t> rgb(30 * 20 * 3, 90), bytes(30 * 20, 7);
    skyedge::FrameView frame;
    frame.width_px = 30;
    frame.height_px = 20;
    frame.planes[0] = rgb.data();
    frame.row_strides[0] = 90;
    const skyedge::MaskView mask{bytes.data(), 30, 30, 20, skyedge::MaskFormat::kAlpha8};
    const auto outcome = [&](std::int64_t timestamp, std::int64_t now) {
        const auto result = live.segment(frame, timestamp, now, mask);
        CHECK(static_cast<bool>(result));
        return result ? result.value() : FrameOutcome::kBusy;
    };
    CHECK(outcome(100, 151) == FrameOutcome::kLate && bytes[0] == 7);
    CHECK(outcome(110, 160) == FrameOutcome::kSegmented && bytes[0] != 7);
    CHECK(outcome(110, 111) == FrameOutcome::kOutOfOrder && outcome(90, 91) == FrameOutcome::kOutOfOrder);
    CHECK(outcome(200, 150) == FrameOutcome::kSegmented);  // a timestamp in the future does not drop the frame
    const skyedge::LiveCounts counts = live.counts();
    CHECK(counts.segmented == 2 && counts.late == 1 && counts.out_of_order == 2 && counts.busy == 0);
    frame.rotation_deg = 1;
    CHECK(!live.segment(frame, 300, 300, mask));

    // Threads that push at once: every call ends, and each frame is either segmented or counted as dropped.
    frame.rotation_deg = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 50; ++i) {
                (void)live.segment(frame, 1000 + 3 * i + t, 0, mask);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    const skyedge::LiveCounts all = live.counts();
    CHECK(all.segmented + all.late + all.out_of_order + all.busy == 5 + 150);
}

}  // namespace

int main() {
    const skyedge::test::ScratchFolder scratch;
    test_stabilizer();
    test_drops(scratch.path());
    return skyedge::test::finish();
}
