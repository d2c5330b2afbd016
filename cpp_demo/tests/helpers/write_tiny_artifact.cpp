// Writes the tiny artifact and an image, sky above and none below, for cli.cmake: write_tiny_artifact FOLDER
// IMAGE.png [OFFSET of the golden output]
#include <algorithm>

#include "cli/output_file.h"
#include "core/artifact/files.h"
#include "codec/image_io.h"
#include "tests/tiny_artifact.h"

int main(int argc, char** argv) {
    if (argc != 3 && argc != 4) {
        return 2;
    }
    skyedge::test::write_tiny(argv[1]);
    if (argc == 4) {
        skyedge::test::write_text(std::filesystem::path(argv[1]) / "golden_out.npy", skyedge::test::tiny_golden_output(std::atof(argv[3])));
    }
    skyedge::Mask image{30, 40, std::vector<std::uint8_t>(30 * 40, 5)};
    std::fill_n(image.values.begin(), 30 * 20, std::uint8_t{250});
    const auto png = skyedge::encode_png(image);
    return png && !skyedge::write_file(argv[2], png.value()) ? 0 : 2;
}
