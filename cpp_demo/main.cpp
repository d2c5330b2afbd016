// skyedge: segments the sky of one picture with an ncnn artifact, or measures artifacts. Exit codes: 0 ok, 2 bad usage
// or bad input.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench.h"
#include "codec.h"
#include "command_line.h"
#include "files.h"
#include "image_io.h"
#include "image_ops.h"
#include "platform.h"
#include "result.h"
#include "sky_segmenter.h"

namespace {

using skyedge::Error;
using skyedge::Failure;
using skyedge::FlagValues;
using skyedge::Result;

constexpr int kExitOk = 0;
constexpr int kExitInput = 2;

constexpr const char* kUsage =
    "usage: skyedge segment --model DIR --input FILE --output FILE [--threads N]\n"
    "       skyedge bench --model DIR [--model DIR ...] [--threads N] [--runs N] [--seconds S] [--input FILE]\n"
    "                     [--device-name TEXT] [--json FILE|-]\n"
    "       skyedge --help | --version\n"
    "\n"
    "segment writes the probability of sky as an 8-bit, one-channel PNG, round(255 p), at the picture's own size "
    "after\n"
    "EXIF orientation.\n"
    "\n"
    "  --model DIR         artifact folder of format ncnn, with its model.json\n"
    "  --input FILE        picture: %s\n"
    "  --output FILE       mask to write, ending in .png; replaced where it exists\n"
    "  --threads N         threads for the network, 1 to 64 (default: 1)\n"
    "\n"
    "bench measures latency, batch 1 (infer: from a picture of the input size to probabilities; end_to_end: from a\n"
    "decoded frame to its 8-bit mask), and peak memory, and prints a table.\n"
    "\n"
    "  --runs N            at least N runs of each kind, 1 to 1000000 (default: 100)\n"
    "  --seconds S         and at least S seconds (default: 10)\n"
    "  --input FILE        picture to use as the frame (default: a generated one, 640 x 480)\n"
    "  --device-name TEXT  what to call this device in the result\n"
    "  --json FILE         writes the result, raw samples included, as edge_runtime/results.schema.json describes it;\n"
    "                      - prints it in place of the table\n"
    "\n"
    "Exit codes: 0 ok, 2 bad usage or bad input (nothing is written).\n";

struct SegmentCommand {
    std::filesystem::path model;
    std::filesystem::path input;
    std::filesystem::path output;
    int threads = 1;
};

struct BenchCommand {
    skyedge::BenchConfig config;
    std::string json;  // empty: none; "-": stdout
};

Result<int> parse_threads(const FlagValues& values) {
    return skyedge::whole_number(values, "--threads", 1, skyedge::SkySegmenter::kMostThreads, 1);
}

Failure refuse_folder(const std::string& flag, const std::filesystem::path& path) {
    std::error_code code;
    if (std::filesystem::is_directory(path, code)) {
        return Error{"got " + flag + " " + path.string() + ", which is a folder; give the name of a file"};
    }
    return std::nullopt;
}

Result<SegmentCommand> parse_segment(const std::vector<std::string>& words) {
    const Result<FlagValues> flags =
        skyedge::parse_flags(words, {{"--model"}, {"--input"}, {"--output"}, {"--threads"}});
    if (!flags) {
        return flags.error();
    }
    const Result<std::string> model = skyedge::need_path(flags.value(), "--model");
    const Result<std::string> input = skyedge::need_path(flags.value(), "--input");
    const Result<std::string> output = skyedge::need_path(flags.value(), "--output");
    for (const Result<std::string>* path : {&model, &input, &output}) {
        if (!*path) {
            return path->error();
        }
    }
    const Result<int> threads = parse_threads(flags.value());
    if (!threads) {
        return threads.error();
    }
    SegmentCommand command{model.value(), input.value(), output.value(), threads.value()};
    if (command.output.extension() != ".png") {
        return Error{"got --output " + command.output.string() +
                     ", expected a name ending in .png, since masks are PNG"};
    }
    if (const Failure failure = refuse_folder("--output", command.output)) {
        return *failure;
    }
    std::error_code code;
    if (std::filesystem::equivalent(command.input, command.output, code)) {
        return Error{"got the same file as --input and --output, expected two; the picture would be lost"};
    }
    return command;
}

Result<BenchCommand> parse_bench(const std::vector<std::string>& words) {
    const Result<FlagValues> flags = skyedge::parse_flags(
        words,
        {{"--model", true}, {"--threads"}, {"--runs"}, {"--seconds"}, {"--input"}, {"--device-name"}, {"--json"}});
    if (!flags) {
        return flags.error();
    }
    const FlagValues& values = flags.value();
    const Result<std::string> model = skyedge::need_path(values, "--model");
    if (!model) {
        return model.error();
    }
    const Result<int> threads = parse_threads(values);
    const Result<int> runs = skyedge::whole_number(values, "--runs", 1, 1000000, 100);
    const Result<double> seconds = skyedge::decimal_number(values, "--seconds", 86400.0, 10.0);
    if (!threads || !runs) {
        return threads ? runs.error() : threads.error();
    }
    if (!seconds) {
        return seconds.error();
    }
    const auto text_of = [&](const std::string& name) {
        const auto found = values.find(name);
        return found == values.end() ? std::string() : found->second.front();
    };
    const std::vector<std::string>& models = values.at("--model");
    BenchCommand command{{{models.begin(), models.end()},
                          threads.value(),
                          runs.value(),
                          seconds.value(),
                          text_of("--input"),
                          text_of("--device-name")},
                         text_of("--json")};
    if (const Failure failure = refuse_folder("--json", command.json)) {
        return *failure;
    }
    return command;
}

Failure segment(const SegmentCommand& command) {
    const Result<skyedge::SkySegmenter> segmenter = skyedge::SkySegmenter::load(command.model, command.threads);
    if (!segmenter) {
        return segmenter.error();
    }
    const Result<skyedge::Image> image = skyedge::read_rgb(command.input);
    if (!image) {
        return image.error();
    }
    const Result<skyedge::Probability> sky = segmenter.value().segment(image.value());
    if (!sky) {
        return sky.error();
    }
    const Result<std::vector<std::uint8_t>> png = skyedge::encode_png(skyedge::to_mask8(sky.value()));
    if (!png) {
        return png.error();
    }
    if (Failure failure = skyedge::write_file(command.output, png.value())) {
        return failure;
    }
    const double threshold = segmenter.value().spec().output.threshold;
    const auto& values = sky.value().values;
    const auto count = std::count_if(values.begin(), values.end(), [&](float p) { return p >= threshold; });
    std::printf("%s: %d x %d pixels, %.1f %% sky\n", command.output.c_str(), sky.value().width_px,
                sky.value().height_px, 100.0 * static_cast<double>(count) / static_cast<double>(values.size()));
    return std::nullopt;
}

Failure bench(const BenchCommand& command) {
    const Result<skyedge::BenchReport> report = skyedge::bench(command.config);
    if (!report) {
        return report.error();
    }
    const std::string json = skyedge::to_json(report.value());
    if (command.json == "-") {
        std::fputs(json.c_str(), stdout);
        return std::nullopt;
    }
    if (!command.json.empty()) {
        if (Failure failure = skyedge::write_file(command.json, {json.begin(), json.end()})) {
            return failure;
        }
    }
    std::fputs(skyedge::to_table(report.value()).c_str(), stdout);
    return std::nullopt;
}

Failure run(const std::vector<std::string>& words) {
    if (words.empty()) {
        return Error{"got no command, expected segment or bench; see skyedge --help"};
    }
    const std::vector<std::string> rest(words.begin() + 1, words.end());
    if (words[0] == "segment") {
        const Result<SegmentCommand> command = parse_segment(rest);
        return command ? segment(command.value()) : Failure(command.error());
    }
    if (words[0] == "bench") {
        const Result<BenchCommand> command = parse_bench(rest);
        return command ? bench(command.value()) : Failure(command.error());
    }
    return Error{"got the command '" + words[0] + "', expected segment or bench; see skyedge --help"};
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
    if (const Failure failure = run(words)) {
        std::fprintf(stderr, "error: %s\n", failure->message.c_str());
        return kExitInput;
    }
    return kExitOk;
}
