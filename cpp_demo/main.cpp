// skyedge: segments the sky of one picture with an ncnn artifact. Exit codes: 0 ok, 2 bad usage or bad input.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "files.h"
#include "image_io.h"
#include "image_ops.h"
#include "platform.h"
#include "result.h"
#include "sky_segmenter.h"

namespace {

using skyedge::Error;
using skyedge::Failure;
using skyedge::Result;

constexpr int kExitOk = 0;
constexpr int kExitInput = 2;

constexpr const char* kUsage =
    "usage: skyedge segment --model DIR --input FILE --output FILE [--threads N]\n"
    "       skyedge --help | --version\n"
    "\n"
    "Writes the probability of sky as an 8-bit, one-channel PNG, round(255 p), at the picture's own size after EXIF\n"
    "orientation.\n"
    "\n"
    "  --model DIR     artifact folder of format ncnn, with its model.json\n"
    "  --input FILE    picture: JPEG, PNG, WebP, BMP or TIFF\n"
    "  --output FILE   mask to write, ending in .png; replaced where it exists\n"
    "  --threads N     threads for the network, 1 to 64 (default: 1)\n"
    "\n"
    "Exit codes: 0 ok, 2 bad usage or bad input (nothing is written).\n";

struct SegmentCommand {
    std::filesystem::path model;
    std::filesystem::path input;
    std::filesystem::path output;
    int threads = 1;
};

// Turns "--name value" and "--name=value" into a map; refuses names outside `known` and repetitions.
Result<std::map<std::string, std::string>> parse_flags(const std::vector<std::string>& words,
                                                       const std::vector<std::string>& known) {
    std::map<std::string, std::string> values;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::size_t equals = words[i].find('=');
        const std::string name = words[i].substr(0, equals);
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            std::string expected;
            for (const std::string& flag : known) {
                expected += (expected.empty() ? "" : ", ") + flag;
            }
            return Error{"got '" + words[i] + "', expected one of " + expected + "; see skyedge --help"};
        }
        const bool inline_value = equals != std::string::npos;
        if (!inline_value && i + 1 == words.size()) {
            return Error{"got " + name + " without a value, expected " + name + " VALUE; see skyedge --help"};
        }
        const std::string value = inline_value ? words[i].substr(equals + 1) : words[++i];
        if (!values.emplace(name, value).second) {
            return Error{"got " + name + " twice, expected it once"};
        }
    }
    return values;
}

std::optional<int> parse_threads(const std::string& text) {
    if (text.empty() || text.size() > 3 || text.find_first_not_of("0123456789") != std::string::npos) {
        return std::nullopt;
    }
    const int threads = std::stoi(text);
    return threads >= 1 && threads <= skyedge::SkySegmenter::kMostThreads ? std::optional<int>(threads) : std::nullopt;
}

Result<SegmentCommand> parse_segment(const std::vector<std::string>& words) {
    const Result<std::map<std::string, std::string>> flags =
        parse_flags(words, {"--model", "--input", "--output", "--threads"});
    if (!flags) {
        return flags.error();
    }
    std::map<std::string, std::string> values = flags.value();
    for (const char* needed : {"--model", "--input", "--output"}) {
        if (values[needed].empty()) {
            return Error{std::string("got no ") + needed + ", expected a path; see skyedge --help"};
        }
    }
    SegmentCommand command{values["--model"], values["--input"], values["--output"], 1};
    if (const auto given = values.find("--threads"); given != values.end()) {
        const std::optional<int> threads = parse_threads(given->second);
        if (!threads) {
            return Error{"got --threads '" + given->second + "', expected a whole number from 1 to 64"};
        }
        command.threads = *threads;
    }
    if (command.output.extension() != ".png") {
        return Error{"got --output " + command.output.string() +
                     ", expected a name ending in .png, since masks are PNG"};
    }
    std::error_code code;
    if (std::filesystem::is_directory(command.output, code)) {
        return Error{"got --output " + command.output.string() + ", which is a folder; give the name of a file"};
    }
    if (std::filesystem::equivalent(command.input, command.output, code)) {
        return Error{"got the same file as --input and --output, expected two; the picture would be lost"};
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

Failure run(const std::vector<std::string>& words) {
    if (words.empty()) {
        return Error{"got no command, expected segment; see skyedge --help"};
    }
    if (words[0] != "segment") {
        return Error{"got the command '" + words[0] + "', expected segment; see skyedge --help"};
    }
    const Result<SegmentCommand> command = parse_segment({words.begin() + 1, words.end()});
    return command ? segment(command.value()) : Failure(command.error());
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const auto asks_for = [&](std::string_view name) {
        return std::find(words.begin(), words.end(), name) != words.end();
    };
    if (asks_for("--help") || asks_for("-h")) {
        std::fputs(kUsage, stdout);
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
