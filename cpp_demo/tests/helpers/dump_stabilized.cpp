// Stabilizes probabilities, so that tests/cpp_demo/ can compare them with Python's: dump_stabilized WIDTH HEIGHT IN OUT, where
// IN holds frames of RGB bytes, each followed by its float32 probabilities, and OUT receives the stabilized ones.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cli/output_file.h"
#include "core/artifact/files.h"
#include "skyedge/stabilizer.h"

int main(int argc, char** argv) {
    if (argc != 5) {
        return 2;
    }
    const int width = std::atoi(argv[1]), height = std::atoi(argv[2]);
    const auto file = skyedge::read_file(argv[3]);
    if (!file) {
        std::fprintf(stderr, "%s\n", file.error().message.c_str());
        return 2;
    }
    const std::size_t pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    skyedge::Stabilizer stabilizer;
    std::vector<std::uint8_t> out;
    for (std::size_t at = 0; at + 7 * pixels <= file.value().size(); at += 7 * pixels) {
        const std::uint8_t* frame = file.value().data() + at;
        const skyedge::Image image{width, height, {frame, frame + 3 * pixels}};
        skyedge::Probability sky{width, height, std::vector<float>(pixels)};
        std::memcpy(sky.values.data(), frame + 3 * pixels, 4 * pixels);
        if (const skyedge::Failure failure = stabilizer.step(image, sky)) {
            std::fprintf(stderr, "%s\n", failure->message.c_str());
            return 2;
        }
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(sky.values.data());
        out.insert(out.end(), bytes, bytes + 4 * pixels);
    }
    std::printf("%d cuts\n", stabilizer.cuts());
    return skyedge::write_file(argv[4], out) ? 2 : 0;
}
