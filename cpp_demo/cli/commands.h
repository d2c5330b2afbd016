// The commands of skyedge: each takes the words after its name, and prints its result to stdout.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "skyedge/image_ops.h"
#include "skyedge/result.h"

namespace skyedge {

Failure run_segment(const std::vector<std::string>& words);
Failure run_refine(const std::vector<std::string>& words);
Failure run_video(const std::vector<std::string>& words);
Failure run_bench(const std::vector<std::string>& words);

// What several of them need.
Result<int> parse_threads(const FlagValues& values);
Failure refuse_folder(const std::string& flag, const std::filesystem::path& path);
// Refuses an output that is no name for a PNG, is a folder, or is one of the inputs.
Failure check_png_output(const std::filesystem::path& output, const std::vector<std::filesystem::path>& inputs);
// Writes the mask and prints its line: size, and the share of pixels of at least `threshold`.
Failure write_mask(const Probability& sky, double threshold, const std::filesystem::path& output);

}  // namespace skyedge
