// skyedge: segments the sky of images and videos with an ncnn artifact, or measures artifacts.
#include "cli/commands.h"

int main(int argc, char** argv) { return skyedge::run_command_line({argv + 1, argv + argc}); }
