// The command line of skyedge: parses words into the config of a command.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/bench/bench.h"
#include "cli/video/video.h"
#include "skyedge/result.h"

namespace skyedge {

struct ImageCommand {
    std::filesystem::path model;  // this, or `mask`
    std::filesystem::path mask;
    std::filesystem::path input;
    std::filesystem::path output;
    int threads = 1;
    bool refine = false;
    bool timing = false;
};

struct BenchCommand {
    BenchConfig config;
    std::string json = "-";  // file to write; "-": stdout
};

// The function of each command, which prints its result to stdout.
struct Commands {
    std::function<Failure(const ImageCommand&)> image;
    std::function<Failure(const VideoConfig&)> video;
    std::function<Failure(const BenchCommand&)> bench;
    std::function<Failure(const std::filesystem::path& model)> verify;
};

// Runs the command that the words name; returns the exit code: 0 ok, 2 bad usage or bad input.
int run_command_line(const std::vector<std::string>& words, const Commands& commands);

}  // namespace skyedge
