// The commands of skyedge: each prints its result to stdout.
#pragma once

#include "cli/arguments.h"

namespace skyedge {

Failure run_image(const ImageCommand& command);
Failure run_verify(const std::filesystem::path& model);
Failure run_video(const VideoConfig& config);
Failure run_bench(const BenchCommand& command);

}  // namespace skyedge
