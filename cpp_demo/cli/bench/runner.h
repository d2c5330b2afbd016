// One artifact, run again and again: what is timed, and what memory it takes.
#pragma once

#include "cli/bench/bench.h"
#include "skyedge/sky_segmenter.h"

namespace skyedge {

// An artifact held open with its own memory.
struct Runner {
    SkySegmenter segmenter;
    Image small{};  // the frame at the input size
    Workspace workspace{};
    Probability sky{};
    std::vector<std::uint8_t> mask{};  // at the size of the upright frame

    Failure infer() { return segmenter.infer(small, workspace, sky); }
    Failure end_to_end(const FrameView& frame);
    // As `skyedge segment` goes from a photo to its mask, but resize and network one after the other, so that both can be timed.
    Failure file_to_file(const std::filesystem::path& photo, const std::filesystem::path& output, FileTimes& times);
};

Result<Runner> open_runner(const std::filesystem::path& folder, const BenchConfig& config, const FrameView& frame);

// Measures in a process of its own, since memory that one artifact has freed would be counted for the next.
Result<Memory> measure_memory(const std::filesystem::path& folder, const BenchConfig& config, const FrameView& frame);

}  // namespace skyedge
