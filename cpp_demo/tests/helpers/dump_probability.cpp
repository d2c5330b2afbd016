// Writes the float32 probabilities of one image, row by row, so that tests/cpp_demo/ can compare machines more
// precisely than by 8-bit masks: dump_probability MODEL IMAGE OUTPUT
#include <cstdio>
#include <cstring>

#include "cli/output_file.h"
#include "core/artifact/files.h"
#include "codec/image_io.h"
#include "skyedge/sky_segmenter.h"

int main(int argc, char** argv) {
    if (argc != 4) {
        return 2;
    }
    const auto segmenter = skyedge::SkySegmenter::load(argv[1], {1});
    const auto image = skyedge::read_rgb(argv[2]);
    if (!segmenter || !image) {
        std::fprintf(stderr, "error: %s\n", (segmenter ? image.error() : segmenter.error()).message.c_str());
        return 2;
    }
    const auto sky = segmenter.value().segment(image.value());
    if (!sky) {
        std::fprintf(stderr, "error: %s\n", sky.error().message.c_str());
        return 2;
    }
    std::vector<std::uint8_t> bytes(sky.value().values.size() * sizeof(float));
    std::memcpy(bytes.data(), sky.value().values.data(), bytes.size());
    return skyedge::write_file(argv[3], bytes) ? 2 : 0;
}
