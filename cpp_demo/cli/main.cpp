// skyedge: segments the sky of pictures and videos with an ncnn artifact, or measures artifacts. Exit codes: 0 ok, 2
// bad usage or bad input.
#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "codec/codec.h"
#include "cli/commands.h"
#include "platform.h"
#include "skyedge/result.h"
#include "skyedge/version.h"

namespace {

constexpr int kExitOk = 0;
constexpr int kExitInput = 2;

constexpr const char* kUsage =
    "usage: skyedge segment --model DIR --input FILE --output FILE [--refine] [--threads N] [--timing]\n"
    "       skyedge refine (--mask FILE | --model DIR) --input FILE --output FILE [--threads N] [--timing]\n"
    "       skyedge video --model DIR --input FILE|N [--output FILE] [--overlay] [--frames N] [--threads N]\n"
    "       skyedge bench --model DIR [--model DIR ...] [--threads N] [--runs N] [--seconds S] [--input FILE]\n"
    "                     [--camera WxH:FORMAT:ROTATION] [--device-name TEXT] [--json FILE|-]\n"
    "       skyedge --help | --version\n"
    "\n"
    "segment writes the probability of sky as an 8-bit, one-channel PNG, round(255 p), at the picture's own size "
    "after\n"
    "EXIF orientation.\n"
    "\n"
    "  --model DIR         artifact folder of format ncnn, with its model.json\n"
    "  --input FILE        picture: %s\n"
    "  --output FILE       mask to write, ending in .png; replaced where it exists\n"
    "  --refine            follow the edges of the full picture: branches, wires, roofs\n"
    "  --threads N         threads for the network, 1 to 64 (default: 1)\n"
    "  --timing            print what took how long\n"
    "\n"
    "refine does the same as segment --refine, or starts from a mask.\n"
    "\n"
    "  --mask FILE         mask of any size over the whole picture, 255 is sky\n"
    "\n"
    "video segments every frame by itself, with nothing smoothed over time, and prints what each stage takes.\n"
    "\n"
    "  --input FILE|N      video file, or the number of a camera\n"
    "  --output FILE       video of masks to write, ending in .mp4 or .avi (default: none)\n"
    "  --overlay           frames with the sky in blue in place of masks\n"
    "  --frames N          stop after N frames (default: 0, all; Ctrl-C stops too, with what there is written)\n"
    "\n"
    "bench measures latency, batch 1 (infer: from a picture of the input size to probabilities; end_to_end: from a\n"
    "decoded frame to its 8-bit mask), and peak memory, and prints a table.\n"
    "\n"
    "  --runs N            at least N runs of each kind, 1 to 1000000 (default: 100)\n"
    "  --seconds S         and at least S seconds (default: 10)\n"
    "  --input FILE        picture to use as the frame (default: a generated one, 640 x 480)\n"
    "  --camera FORMAT     a camera's frame as WIDTHxHEIGHT:FORMAT:ROTATION, such as 640x480:nv21:90, to an 8-bit mask\n"
    "  --device-name TEXT  what to call this device in the result\n"
    "  --json FILE         writes the result, raw samples included, as edge_runtime/benchmark/results.schema.json describes it;\n"
    "                      - prints it in place of the table\n"
    "\n"
    "Exit codes: 0 ok, 2 bad usage or bad input (nothing is written).\n";

struct Command {
    std::string_view name;
    skyedge::Failure (*run)(const std::vector<std::string>& words);
};

constexpr Command kCommands[] = {{"segment", skyedge::run_segment},
                                 {"refine", skyedge::run_refine},
                                 {"video", skyedge::run_video},
                                 {"bench", skyedge::run_bench}};

skyedge::Failure run(const std::vector<std::string>& words) {
    const std::string got = words.empty() ? "no command" : "the command '" + words[0] + "'";
    for (const Command& command : kCommands) {
        if (!words.empty() && words[0] == command.name) {
            return command.run({words.begin() + 1, words.end()});
        }
    }
    return skyedge::Error{"got " + got + ", expected segment, refine, video or bench; see skyedge --help"};
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const auto asks_for = [&](std::string_view name) {
        return std::find(words.begin(), words.end(), name) != words.end();
    };
    if (asks_for("--help") || asks_for("-h")) {
        std::printf(kUsage, skyedge::kPictureFormats);
        return kExitOk;
    }
    if (asks_for("--version")) {
        std::printf("skyedge %s (ncnn %s)\n", SKYEDGE_VERSION, NCNN_VERSION_STRING);
        return kExitOk;
    }
    if (const skyedge::Failure failure = run(words)) {
        std::fprintf(stderr, "error: %s\n", failure->message.c_str());
        return kExitInput;
    }
    return kExitOk;
}
