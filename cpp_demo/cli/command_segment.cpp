// skyedge segment, refine and verify: an image into a mask.
#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/output_file.h"
#include "codec/image_io.h"
#include "skyedge/refine.h"
#include "skyedge/sky_segmenter.h"
#include "core/mask/stopwatch.h"

namespace skyedge {
namespace {

namespace fs = std::filesystem;

// The time of each step, in order.
class Laps {
public:
    void lap(const char* name) { laps_.push_back({name, watch_.lap_ms()}); }
    // Adds a time that was measured elsewhere, and starts the next lap.
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

// Reads a mask file as a probability.
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

// Writes the mask and prints its line: size, and the share of pixels of at least `threshold`.
Failure write_mask(const Probability& sky, double threshold, const fs::path& output) {
    const Result<std::vector<std::uint8_t>> png = encode_png(to_mask8(sky));
    if (!png) {
        return png.error();
    }
    if (Failure failure = write_file(output, png.value())) {
        return failure;
    }
    const auto count = std::count_if(sky.values.begin(), sky.values.end(), [&](float p) { return p >= threshold; });
    std::printf("%s: %d x %d pixels, %.1f %% sky\n", output.string().c_str(), sky.width_px, sky.height_px,
                100.0 * static_cast<double>(count) / static_cast<double>(sky.values.size()));
    return std::nullopt;
}

}  // namespace

Failure run_image(const ImageCommand& command) {
    Laps laps;
    double threshold = 0.5;  // for a mask without a network
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
    laps.lap("decode the image");
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
        laps.add("refine: shrink the image", timing.shrink_ms);
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

Failure run_verify(const fs::path& model) {
    Options options;
    options.self_test = true;
    const Result<SkySegmenter> loaded = SkySegmenter::load(model, options);
    if (!loaded) {
        return loaded.error();
    }
    std::printf("%s: the golden pair comes out, ok\n", model.string().c_str());
    return std::nullopt;
}

}  // namespace skyedge
