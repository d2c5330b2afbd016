// Runs a network on a gray image of its input's size, for studies/arm_instructions.py: infer_times MODEL TIMES
#include <cstdio>
#include <cstdlib>

#include "skyedge/sky_segmenter.h"

int main(int argc, char** argv) {
    if (argc != 3) {
        return 2;
    }
    const auto segmenter = skyedge::SkySegmenter::load(argv[1], {1});
    if (!segmenter) {
        std::fprintf(stderr, "error: %s\n", segmenter.error().message.c_str());
        return 2;
    }
    const skyedge::InputSpec& input = segmenter.value().spec().input;
    const std::size_t bytes = static_cast<std::size_t>(input.width_px) * static_cast<std::size_t>(input.height_px) * 3;
    const skyedge::Image image{input.width_px, input.height_px, std::vector<std::uint8_t>(bytes, 100)};
    skyedge::Workspace workspace;
    skyedge::Probability sky;
    for (int i = 0; i < std::atoi(argv[2]); ++i) {
        if (const skyedge::Failure failure = segmenter.value().infer(image, workspace, sky)) {
            std::fprintf(stderr, "error: %s\n", failure->message.c_str());
            return 2;
        }
    }
    return 0;
}
