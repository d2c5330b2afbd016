// The commands of skyedge. Each prints its result to stdout.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/bench/bench.h"
#include "skyedge/result.h"

namespace skyedge {

struct SegmentCommand {
    std::filesystem::path model;
    std::filesystem::path input;
    std::filesystem::path output;
    int threads = 1;
    bool refine = false;
    bool exact = false;  // decode the whole image, even if the network needs far less
};

struct VideoCommand {
    std::filesystem::path model;
    std::string input;             // a file, the number of a camera, or the URL of a stream
    std::filesystem::path output;  // ends in .mp4 or .avi; empty: nothing is written
    bool overlay = false;          // write frames with the sky in blue instead of masks
    int threads = 1;
    int most_frames = 0;       // 0: all; a camera then runs until Ctrl-C
    double reconnect_s = 30;   // how long a camera or stream that dropped out is opened again
};

Failure run_segment(const SegmentCommand& command);
Failure run_verify(const std::filesystem::path& model);

// Segments every frame on its own, without smoothing over time. The output file appears when it is complete.
// video_opencv.cpp, or video_none.cpp in a build without a decoder.
Failure run_video(const VideoCommand& command);

Failure run_bench(const BenchConfig& config);

// Runs the command that the words name; returns the exit code: 0 ok, 1 a golden pair that does not come out, 2 bad usage or
// bad input.
int run_command_line(const std::vector<std::string>& words);

}  // namespace skyedge
