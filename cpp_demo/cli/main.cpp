// skyedge: segments the sky of images and videos with an ncnn artifact, or measures artifacts. Exit codes: 0 ok, 2 bad
// usage or bad input.
#include "cli/commands.h"

int main(int argc, char** argv) {
    const skyedge::Commands commands{skyedge::run_image, skyedge::run_video, skyedge::run_bench, skyedge::run_verify};
    return skyedge::run_command_line({argv + 1, argv + argc}, commands);
}
