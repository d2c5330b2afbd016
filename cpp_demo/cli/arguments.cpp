
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <locale>
#include <sstream>

#include "cli/commands.h"
#include "codec/codec.h"
#include "platform.h"
#include "skyedge/sky_segmenter.h"

namespace skyedge {
namespace {

namespace fs = std::filesystem;

// Accepts a number within limits. CLI11's own check accepts "1e1" as an int and "inf" as a double.
CLI::Validator number_within(double low, double high, bool whole) {
    const auto check = [=](std::string& text) -> std::string {
        std::istringstream reader(text);
        reader.imbue(std::locale::classic());
        double number = 0.0;
        const bool read = (reader >> number) && reader.peek() == std::istringstream::traits_type::eof();
        const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
        if (read && std::isfinite(number) && number >= low && number <= high && (digits || !whole)) {
            return {};
        }
        std::ostringstream range;
        range.imbue(std::locale::classic());
        range.precision(12);
        range << low << " to " << high;
        return "got '" + text + "', expected a " + (whole ? "whole " : "") + "number from " + range.str();
    };
    return {check, ""};
}

CLI::Validator not_empty() {
    return {[](std::string& text) { return text.empty() ? std::string("got '', expected a path") : std::string(); }, ""};
}

CLI::Validator no_folder() {
    return {[](std::string& text) {
                std::error_code code;
                return fs::is_directory(text, code) ? "got " + text + ", which is a folder; give the name of a file"
                                                    : std::string();
            },
            ""};
}

CLI::Validator ends_in(const std::vector<std::string>& endings) {
    return {[=](std::string& text) {
                const std::string ending = fs::path(text).extension().string();
                if (std::find(endings.begin(), endings.end(), ending) != endings.end()) {
                    return std::string();
                }
                return "got " + text + ", expected a name ending in " + endings.front() +
                       (endings.size() > 1 ? " or " + endings.back() : "");
            },
            ""};
}

// Flags that several commands share.
CLI::Option* add_path(CLI::App& app, const char* name, fs::path& place, const char* text) {
    return app
        .add_option_function<std::string>(name, [&place](const std::string& word) { place = word; }, text)
        ->check(not_empty())
        ->type_name("PATH");
}

void add_threads(CLI::App& app, int& threads) {
    app.add_option("--threads", threads, "threads for the network, 1 to 64")
        ->check(number_within(1, kMostThreads, true))
        ->capture_default_str();
}

CLI::App& add_segment_command(CLI::App& app, SegmentCommand& command) {
    CLI::App& made = *app.add_subcommand("segment",
                                         "Write the probability of sky as an 8-bit, one-channel PNG, round(255 p), at the "
                                         "image's own size after EXIF orientation.");
    add_path(made, "--model", command.model, "artifact folder of format ncnn, with its model.json")->required();
    made.add_flag("--refine", command.refine, "follow the edges of the full image: branches, wires, roofs");
    made.add_flag("--exact", command.exact, "decode a large JPEG whole; else at 1/2, 1/4 or 1/8 of its size where the network needs no more");
    add_path(made, "--input", command.input, kImageFormats)->required();
    add_path(made, "--output", command.output, "mask to write, ending in .png; replaced where it exists")
        ->required()
        ->check(ends_in({".png"}))
        ->check(no_folder());
    add_threads(made, command.threads);
    return made;
}

CLI::App& add_video_command(CLI::App& app, VideoCommand& config) {
    CLI::App& made = *app.add_subcommand("video", "Segment every frame by itself, and print what each stage takes. Sound is not kept.");
    add_path(made, "--model", config.model, "artifact folder of format ncnn")->required();
    made.add_option("--input", config.input, "video file, number of a camera, or URL of a stream")->required()->check(not_empty());
    add_path(made, "--output", config.output, "video of masks to write, ending in .mp4 or .avi (default: none)")
        ->check(ends_in({".mp4", ".avi"}))
        ->check(no_folder());
    made.add_flag("--overlay", config.overlay, "frames with the sky in blue in place of masks");
    made.add_option("--frames", config.most_frames, "stop after this many frames; 0: all (Ctrl-C stops too, and keeps what there is)")
        ->check(number_within(0, 99999999, true))
        ->capture_default_str();
    made.add_option("--reconnect", config.reconnect_s, "seconds for which a camera or stream that dropped out is opened again")
        ->check(number_within(0, 86400, false))
        ->capture_default_str();
    add_threads(made, config.threads);
    return made;
}

CLI::App& add_bench_command(CLI::App& app, BenchConfig& config) {
    CLI::App& made = *app.add_subcommand(
        "bench",
        "Measure latency, batch 1 (infer: from an image of the input size to probabilities; end_to_end: from a decoded frame "
        "to its 8-bit mask), and peak memory; write every sample as JSON.");
    made.add_option_function<std::vector<std::string>>(
            "--model", [&config](const std::vector<std::string>& words) { config.models = {words.begin(), words.end()}; },
            "artifact folder of format ncnn; may be given several times")
        ->required()
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(not_empty());
    made.add_option("--runs", config.min_runs, "at least this many runs of each kind")
        ->check(number_within(1, 1000000, true))
        ->capture_default_str();
    made.add_option("--seconds", config.min_seconds, "and at least so many seconds")
        ->check(number_within(0, 86400, false))
        ->capture_default_str();
    add_threads(made, config.threads);
    CLI::Option* input = add_path(made, "--input", config.input, "image to use as the frame (default: a generated one, 640 x 480)");
    made.add_flag("--file-to-file", config.file_to_file, "time --input's file to a mask's file too, step by step")->needs(input);
    made.add_option("--device-name", config.device_name, "what to call this device in the result");
    made.add_option("--json", config.json,
                    "file for the raw samples; - prints them. python -m edge_runtime.benchmark.table FILE makes a table of them")
        ->capture_default_str()
        ->check(not_empty())
        ->check(no_folder());
    return made;
}

// Returns the message of a parse error: got, expected, next step.
std::string explain(const CLI::App& app, const std::vector<std::string>& words, const CLI::ParseError& error) {
    const std::vector<CLI::App*> chosen = app.get_subcommands();
    const std::string help = "; see skyedge " + (chosen.empty() ? "" : chosen.front()->get_name() + " ") + "--help";
    std::string text = error.what();
    if (chosen.empty()) {
        text = (words.empty() ? "got no command" : "got '" + words.front() + "'") +
               std::string(", expected segment, video, bench or verify");
    } else if (error.get_name() == "RequiredError") {
        text = "got no " + text.substr(0, text.find(' ')) + ", expected a value for it";
    }
    return text + help;
}

// Refuses to write over an input.
Failure check_apart(const fs::path& input, const fs::path& output) {
    std::error_code code;
    return !input.empty() && fs::equivalent(input, output, code)
               ? Failure(Error{"got the same file as input and --output, expected two; " + input.string() + " would be lost"})
               : std::nullopt;
}

}  // namespace

int run_command_line(const std::vector<std::string>& words) {
    CLI::App app{"The sky of images, videos and camera frames, with artifacts of format ncnn.\n"
                 "Exit codes: 0 ok, 1 a golden pair does not come out, 2 bad usage or bad input."};
    app.name("skyedge");
    app.require_subcommand(1);
    app.set_version_flag("--version", std::string("skyedge " SKYEDGE_VERSION " (ncnn ") + NCNN_VERSION_STRING + ")");
    SegmentCommand segment;
    VideoCommand video;
    BenchConfig bench;
    fs::path artifact;
    const CLI::App& segment_app = add_segment_command(app, segment);
    const CLI::App& video_app = add_video_command(app, video);
    const CLI::App& bench_app = add_bench_command(app, bench);
    CLI::App& verify_app = *app.add_subcommand("verify", "Check an artifact's files, and replay its golden pair.");
    add_path(verify_app, "--model", artifact, "artifact folder of format ncnn")->required();
    Failure failure;
    try {
        std::vector<std::string> reversed(words.rbegin(), words.rend());  // as CLI11 wants them
        app.parse(reversed);
        failure = check_apart(segment.input, segment.output);
        failure = failure ? failure : check_apart(video.input, video.output);
        if (!failure) {
            failure = segment_app.parsed() ? run_segment(segment)
                      : video_app.parsed() ? run_video(video)
                      : bench_app.parsed() ? run_bench(bench)
                                           : run_verify(artifact);
        }
    } catch (const CLI::Success& asked) {  // --help or --version
        return app.exit(asked);
    } catch (const CLI::ParseError& error) {
        failure = Error{explain(app, words, error)};
    }
    if (failure) {
        std::fprintf(stderr, "error: %s\n", failure->message.c_str());
        return verify_app.parsed() && failure->code == ErrorCode::kNetwork ? 1 : 2;
    }
    return 0;
}

}  // namespace skyedge
