// skyedge video: the sky in every frame, and what each stage takes.
#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/video.h"

namespace skyedge {
namespace {

namespace fs = std::filesystem;

Result<VideoConfig> parse(const std::vector<std::string>& words) {
    const Result<FlagValues> flags = parse_flags(
        words, {{"--model"}, {"--input"}, {"--output"}, {"--overlay", FlagKind::kSwitch}, {"--frames"}, {"--threads"}});
    if (!flags) {
        return flags.error();
    }
    const FlagValues& values = flags.value();
    const Result<std::string> model = need_path(values, "--model");
    const Result<std::string> input = need_path(values, "--input");
    if (!model || !input) {
        return model ? input.error() : model.error();
    }
    const Result<int> threads = parse_threads(values);
    const Result<int> frames = whole_number(values, "--frames", 0, 99999999, 0);
    if (!threads || !frames) {
        return threads ? frames.error() : threads.error();
    }
    VideoConfig config{model.value(),   input.value(), text_of(values, "--output"), is_on(values, "--overlay"),
                       threads.value(), frames.value()};
    const fs::path kind = config.output.extension();
    if (values.count("--output") > 0 && kind != ".mp4" && kind != ".avi") {
        return Error{"got --output " + config.output.string() + ", expected a name ending in .mp4 or .avi"};
    }
    if (const Failure failure = refuse_folder("--output", config.output)) {
        return *failure;
    }
    std::error_code code;
    if (fs::equivalent(config.input, config.output, code)) {
        return Error{"got the same file as input and --output, expected two; " + config.input + " would be lost"};
    }
    return config;
}

// Of samples that are there.
double percentile(std::vector<double> samples, double percent) {
    const auto at = static_cast<std::ptrdiff_t>(percent / 100.0 * static_cast<double>(samples.size() - 1) + 0.5);
    std::nth_element(samples.begin(), samples.begin() + at, samples.end());
    return samples[static_cast<std::size_t>(at)];
}

}  // namespace

Failure run_video(const std::vector<std::string>& words) {
    const Result<VideoConfig> config = parse(words);
    if (!config) {
        return config.error();
    }
    const Result<VideoReport> done = segment_video(config.value());
    if (!done) {
        return done.error();
    }
    const VideoReport& report = done.value();
    const std::string place = config.value().output.empty() ? "nothing written" : config.value().output.string();
    std::printf("%s: %d frames of %d x %d pixels, %.1f frames a second\n", place.c_str(), report.frames,
                report.width_px, report.height_px, report.frames / report.seconds);
    for (const VideoStage& stage : report.stages) {
        std::printf("%-8s p50 %7.2f ms  p95 %7.2f ms\n", stage.name.c_str(), percentile(stage.samples_ms, 50),
                    percentile(stage.samples_ms, 95));
    }
    return std::nullopt;
}

}  // namespace skyedge
