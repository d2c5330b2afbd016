// skyedge segment and skyedge refine: a picture into a mask.
#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/output_file.h"
#include "codec/image_io.h"
#include "skyedge/refine.h"
#include "skyedge/sky_segmenter.h"
#include "core/stopwatch.h"

namespace skyedge {
namespace {

namespace fs = std::filesystem;

struct PictureCommand {
    fs::path model;  // this, or `mask`
    fs::path mask;
    fs::path input;
    fs::path output;
    int threads = 1;
    bool refine = false;
    bool timing = false;
};

// What took how long, in order.
class Laps {
public:
    void lap(const char* name) { laps_.push_back({name, watch_.lap_ms()}); }
    // A time that was measured elsewhere; the next lap begins now.
    void add(const char* name, double ms) {
        laps_.push_back({name, ms});
        watch_ = Stopwatch();
    }
    void print() const {
        double total = 0.0;
        for (const Lap& lap : laps_) {
            std::printf("%10.1f ms  %s\n", lap.ms, lap.name);
            total += lap.ms;
        }
        std::printf("%10.1f ms  together\n", total);
    }

private:
    struct Lap {
        const char* name;
        double ms;
    };
    std::vector<Lap> laps_;
    Stopwatch watch_;
};

Result<PictureCommand> parse(const std::vector<std::string>& words, bool refine) {
    std::vector<Flag> known{{"--model"}, {"--input"}, {"--output"}, {"--threads"}, {"--timing", FlagKind::kSwitch}};
    known.push_back(refine ? Flag{"--mask"} : Flag{"--refine", FlagKind::kSwitch});
    const Result<FlagValues> flags = parse_flags(words, known);
    if (!flags) {
        return flags.error();
    }
    const FlagValues& values = flags.value();
    const bool with_mask = values.count("--mask") > 0;
    if (with_mask && values.count("--model") > 0) {
        return Error{"got --mask and --model, expected one of them: where the probability comes from"};
    }
    if (refine && !with_mask && values.count("--model") == 0) {
        return Error{"got neither --mask nor --model, expected one of them: where the probability comes from"};
    }
    const Result<std::string> source = need_path(values, with_mask ? "--mask" : "--model");
    const Result<std::string> input = need_path(values, "--input");
    const Result<std::string> output = need_path(values, "--output");
    for (const Result<std::string>* path : {&source, &input, &output}) {
        if (!*path) {
            return path->error();
        }
    }
    const Result<int> threads = parse_threads(values);
    if (!threads) {
        return threads.error();
    }
    PictureCommand command{with_mask ? "" : source.value(),
                           with_mask ? source.value() : "",
                           input.value(),
                           output.value(),
                           threads.value(),
                           refine || is_on(values, "--refine"),
                           is_on(values, "--timing")};
    std::vector<fs::path> inputs{command.input};
    if (with_mask) {
        inputs.push_back(command.mask);
    }
    if (const Failure failure = check_png_output(command.output, inputs)) {
        return *failure;
    }
    return command;
}

// A mask's file as a probability.
Result<Probability> read_mask(const fs::path& path) {
    const Result<Image> image = read_rgb(path);
    if (!image) {
        return image.error();
    }
    const std::vector<std::uint8_t>& rgb = image.value().rgb;
    Probability probability{image.value().width_px, image.value().height_px, {}};
    probability.values.reserve(rgb.size() / 3);
    for (std::size_t i = 0; i < rgb.size(); i += 3) {
        if (rgb[i] != rgb[i + 1] || rgb[i] != rgb[i + 2]) {
            return Error{"got " + path.string() + ", an image in color, expected a gray mask: 255 is sky"};
        }
        probability.values.push_back(static_cast<float>(rgb[i]) / 255.0F);
    }
    return probability;
}

Failure run_picture(const PictureCommand& command) {
    Laps laps;
    double threshold = 0.5;  // of a mask, whose network nobody named
    std::optional<SkySegmenter> segmenter;
    if (command.mask.empty()) {
        const Result<SkySegmenter> loaded = SkySegmenter::load(command.model, {command.threads});
        if (!loaded) {
            return loaded.error();
        }
        segmenter = loaded.value();
        threshold = segmenter->spec().output.threshold;
        laps.lap("load the network");
    }
    const Result<Image> image = read_rgb(command.input);
    if (!image) {
        return image.error();
    }
    laps.lap("decode the picture");
    Workspace workspace;
    Probability sky;
    if (!segmenter) {
        Result<Probability> mask = read_mask(command.mask);
        if (!mask) {
            return mask.error();
        }
        sky = std::move(mask.value());
        laps.lap("decode the mask");
    } else {
        if (Failure failure = command.refine ? segmenter->low_res(image.value(), workspace, sky)
                                             : segmenter->segment(image.value(), workspace, sky)) {
            return failure;
        }
        laps.lap(command.refine ? "resize to the network's input, infer"
                                : "resize to the network's input, infer, enlarge");
    }
    if (command.refine) {
        const Probability low_res = std::move(sky);
        RefineTiming timing;
        if (Failure failure = refine(image.value(), low_res, sky, &timing)) {
            return failure;
        }
        laps.add("refine: shrink the picture", timing.shrink_ms);
        laps.add("refine: density of colors", timing.density_ms);
        laps.add("refine: fit on the grid, and the guard", timing.fit_ms);
        laps.add("refine: apply at full resolution", timing.apply_ms);
    }
    if (Failure failure = write_mask(sky, threshold, command.output)) {
        return failure;
    }
    laps.lap("8 bits, encode and write the mask");
    if (command.timing) {
        laps.print();
    }
    return std::nullopt;
}

}  // namespace

Failure run_segment(const std::vector<std::string>& words) {
    const Result<PictureCommand> command = parse(words, false);
    return command ? run_picture(command.value()) : Failure(command.error());
}

Failure run_refine(const std::vector<std::string>& words) {
    const Result<PictureCommand> command = parse(words, true);
    return command ? run_picture(command.value()) : Failure(command.error());
}

Result<int> parse_threads(const FlagValues& values) {
    return whole_number(values, "--threads", 1, kMostThreads, 1);
}

Failure refuse_folder(const std::string& flag, const fs::path& path) {
    std::error_code code;
    if (fs::is_directory(path, code)) {
        return Error{"got " + flag + " " + path.string() + ", which is a folder; give the name of a file"};
    }
    return std::nullopt;
}

Failure check_png_output(const fs::path& output, const std::vector<fs::path>& inputs) {
    if (output.extension() != ".png") {
        return Error{"got --output " + output.string() + ", expected a name ending in .png, since masks are PNG"};
    }
    if (Failure failure = refuse_folder("--output", output)) {
        return failure;
    }
    for (const fs::path& input : inputs) {
        std::error_code code;
        if (fs::equivalent(input, output, code)) {
            return Error{"got the same file as input and --output, expected two; " + input.string() + " would be lost"};
        }
    }
    return std::nullopt;
}

Failure write_mask(const Probability& sky, double threshold, const fs::path& output) {
    const Result<std::vector<std::uint8_t>> png = encode_png(to_mask8(sky));
    if (!png) {
        return png.error();
    }
    if (Failure failure = write_file(output, png.value())) {
        return failure;
    }
    const auto count = std::count_if(sky.values.begin(), sky.values.end(), [&](float p) { return p >= threshold; });
    std::printf("%s: %d x %d pixels, %.1f %% sky\n", output.c_str(), sky.width_px, sky.height_px,
                100.0 * static_cast<double>(count) / static_cast<double>(sky.values.size()));
    return std::nullopt;
}

}  // namespace skyedge
