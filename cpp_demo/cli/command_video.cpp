// skyedge video: the sky in every frame, and what each stage takes.
#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/video/video.h"

namespace skyedge {
namespace {

// The samples must not be empty.
double percentile(std::vector<double> samples, double percent) {
    const auto at = static_cast<std::ptrdiff_t>(percent / 100.0 * static_cast<double>(samples.size() - 1) + 0.5);
    std::nth_element(samples.begin(), samples.begin() + at, samples.end());
    return samples[static_cast<std::size_t>(at)];
}

}  // namespace

Failure run_video(const VideoConfig& config) {
    const Result<VideoReport> done = segment_video(config);
    if (!done) {
        return done.error();
    }
    const VideoReport& report = done.value();
    const std::string place = config.output.empty() ? "nothing written" : config.output.string();
    std::printf("%s: %d frames of %d x %d pixels, %.1f frames a second\n", place.c_str(), report.frames,
                report.width_px, report.height_px, report.frames / report.seconds);
    for (const VideoStage& stage : report.stages) {
        std::printf("%-8s p50 %7.2f ms  p95 %7.2f ms\n", stage.name.c_str(), percentile(stage.samples_ms, 50),
                    percentile(stage.samples_ms, 95));
    }
    return std::nullopt;
}

}  // namespace skyedge
