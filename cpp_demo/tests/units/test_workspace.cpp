// Counts the allocations of every image after the first. This library makes none, and ncnn none for blobs. ncnn still
// allocates short lists and rows in some layers (counted here), and the OpenMP runtime a record per parallel loop with
// its own malloc (not counted). The arguments are artifact folders to test besides the tiny one.
#include <errno.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>

#include "tests/check.h"
#include "skyedge/sky_segmenter.h"
#include "tests/tiny_artifact.h"

namespace {

std::atomic<long> allocations{0};
std::atomic<std::size_t> largest_bytes{0};

void count(std::size_t size_bytes) {
    ++allocations;
    std::size_t largest = largest_bytes;
    while (size_bytes > largest && !largest_bytes.compare_exchange_weak(largest, size_bytes)) {
    }
}

}  // namespace

// Not inlined, so that GCC does not warn of free() on memory from new.
[[gnu::noinline]] void* operator new(std::size_t size_bytes) {
    count(size_bytes);
    if (void* memory = std::malloc(size_bytes)) {
        return memory;
    }
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

// ncnn allocates blobs here.
extern "C" void* __libc_memalign(std::size_t alignment, std::size_t size_bytes);
extern "C" int posix_memalign(void** memory, std::size_t alignment, std::size_t size_bytes) noexcept {
    count(size_bytes);
    *memory = __libc_memalign(alignment, size_bytes);
    return *memory == nullptr ? ENOMEM : 0;
}

namespace {

namespace fs = std::filesystem;
using skyedge::Image;
using skyedge::Probability;
using skyedge::SkySegmenter;
using skyedge::Workspace;

constexpr int kFrames = 5;
// Limit for lists of blobs and offsets, and for the two rows that ncnn interpolates. One plane of the smallest network's input
// has 147,456 bytes.
constexpr std::size_t kShortListBytes = 65536;

Image make_image(int width_px, int height_px, std::uint32_t seed) {
    Image image{width_px, height_px, {}};
    image.rgb.resize(static_cast<std::size_t>(width_px * height_px * 3));
    std::uint32_t x = seed;
    for (std::uint8_t& byte : image.rgb) {
        x = 1664525U * x + 1013904223U;
        byte = static_cast<std::uint8_t>(x >> 24U);
    }
    return image;
}

// Allocations of each frame after the first. They must be equal, and none may be as large as a blob.
long count_frames(const SkySegmenter& segmenter, int width_px, int height_px) {
    const Image frame = make_image(width_px, height_px, 1);
    Workspace workspace;
    Probability sky;
    long each = -1;
    for (int i = 0; i < kFrames; ++i) {
        allocations = 0;
        largest_bytes = 0;
        const bool good = !segmenter.segment(frame, workspace, sky);
        const long now = allocations;
        const std::size_t largest = largest_bytes;
        CHECK(good);
        if (i == 0) {
            CHECK(now > 0);
            continue;
        }
        CHECK(each == -1 || each == now);
        CHECK(largest <= kShortListBytes);
        each = now;
    }
    return each;
}

void test_own_code_allocates_nothing(const fs::path& folder) {
    skyedge::test::write_tiny(folder);
    const auto loaded = SkySegmenter::load(folder, {1});
    CHECK(static_cast<bool>(loaded));
    if (!loaded) {
        return;
    }
    // Its layers have one input and one output, for which ncnn makes no lists.
    CHECK(count_frames(loaded.value(), 64, 48) == 0);
    CHECK(count_frames(loaded.value(), 8, 8) == 0);
    CHECK(count_frames(loaded.value(), 3, 100) == 0);
}

void test_network(const fs::path& folder) {
    const auto loaded = SkySegmenter::load(folder, {1});
    CHECK(static_cast<bool>(loaded));
    if (loaded) {
        const long each = count_frames(loaded.value(), 640, 480);
        std::printf("%s: %ld short lists and rows a frame, made by ncnn\n", loaded.value().spec().name.c_str(), each);
    }
}

bool equal(const Probability& a, const Probability& b) {
    return a.width_px == b.width_px && a.height_px == b.height_px && a.values == b.values;
}

// A workspace that is reused for other sizes, other networks and after failures gives the same as new ones.
void test_a_used_workspace_gives_the_same(const fs::path& folder) {
    skyedge::test::write_tiny(folder / "one");
    std::string other_bin = skyedge::test::tiny_bin();
    other_bin[other_bin.size() - 1] = '\x40';  // the upper byte of the bias: 0.25 becomes 4
    const std::string param = skyedge::test::tiny_param();
    skyedge::test::write_tiny(folder / "two", skyedge::test::tiny_spec(param, other_bin), param, other_bin);
    const auto one = SkySegmenter::load(folder / "one", {1});
    auto two = SkySegmenter::load(folder / "two", {1});
    CHECK(one && two);
    if (!one || !two) {
        return;
    }
    Workspace workspace;
    Probability sky;
    for (std::uint32_t i = 0; i < 6; ++i) {
        const SkySegmenter& segmenter = i % 3 == 2 ? two.value() : one.value();
        const Image image = make_image(static_cast<int>(10 + 7 * (i % 4)), static_cast<int>(40 - 6 * i), i);
        CHECK(!segmenter.segment(image, workspace, sky));
        const auto fresh = segmenter.segment(image);
        CHECK(fresh && equal(fresh.value(), sky));
        CHECK(static_cast<bool>(segmenter.segment(Image{}, workspace, sky)));
        CHECK(static_cast<bool>(segmenter.infer(image, workspace, sky)));  // not of the input's size
    }
    const Image image = make_image(8, 8, 77);
    CHECK(!two.value().infer(image, workspace, sky));
    CHECK(equal(two.value().segment(image).value(), sky));
    two = SkySegmenter::load(folder / "one", {1});  // the previous network may be destroyed before the workspace
    CHECK(!two.value().infer(image, workspace, sky));
    CHECK(equal(one.value().segment(image).value(), sky));
}

void test_threads_share_a_segmenter(const fs::path& folder) {
    skyedge::test::write_tiny(folder);
    const auto loaded = SkySegmenter::load(folder, {1});
    CHECK(static_cast<bool>(loaded));
    if (!loaded) {
        return;
    }
    const auto work = [&](std::uint32_t seed, bool& good) {
        Workspace workspace;
        Probability sky;
        const Image image = make_image(33, 21, seed);
        const auto fresh = loaded.value().segment(image);
        for (int i = 0; i < 50 && good; ++i) {
            good = !loaded.value().segment(image, workspace, sky) && fresh && equal(fresh.value(), sky);
        }
    };
    bool here = true, there = true;
    std::thread other(work, 5U, std::ref(there));
    work(6U, here);
    other.join();
    CHECK(here && there);
}

}  // namespace

int main(int argc, char** argv) {
    const skyedge::test::ScratchFolder scratch;
    test_own_code_allocates_nothing(scratch.path() / "tiny");
    for (int i = 1; i < argc; ++i) {
        test_network(argv[i]);
    }
    test_a_used_workspace_gives_the_same(scratch.path() / "used");
    test_threads_share_a_segmenter(scratch.path() / "shared");
    return skyedge::test::finish();
}
