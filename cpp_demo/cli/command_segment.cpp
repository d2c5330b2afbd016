// skyedge segment, refine and verify: an image into a mask.
#include <algorithm>
#include <cmath>
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
Failure write_mask(const Mask& mask, double threshold, const fs::path& output) {
    const Result<std::vector<std::uint8_t>> png = encode_png(mask);
    if (!png) {
        return png.error();
    }
    if (Failure failure = write_file(output, png.value())) {
        return failure;
    }
    const auto least = std::nearbyint(255 * threshold);
    const auto count = std::count_if(mask.values.begin(), mask.values.end(), [&](std::uint8_t p) { return p >= least; });
    std::printf("%s: %d x %d pixels, %.1f %% sky\n", output.string().c_str(), mask.width_px, mask.height_px,
                100.0 * static_cast<double>(count) / static_cast<double>(mask.values.size()));
    return std::nullopt;
}

// The mask that follows the edges of the whole image, from a probability of any size.
Result<Mask> refined(const Image& image, const Probability& low_res, Laps& laps) {
    RefineTiming timing;
    Probability sky;
    if (const Failure failure = refine(image, low_res, sky, &timing)) {
        return *failure;
    }
    laps.add("refine: shrink the image", timing.shrink_ms);
    laps.add("refine: density of colors", timing.density_ms);
    laps.add("refine: fit on the grid, and the guard", timing.fit_ms);
    laps.add("refine: apply at full resolution", timing.apply_ms);
    return to_mask8(sky);
}

}  // namespace

Failure run_image(const ImageCommand& command) {
    Laps laps;
    double threshold = 0.5;  // for a mask without a network
    std::optional<SkySegmenter> segmenter;
    int least_px = 0;
    if (command.mask.empty()) {
        const Result<SkySegmenter> loaded = SkySegmenter::load(command.model, {command.threads});
        if (!loaded) {
            return loaded.error();
        }
        segmenter = loaded.value();
        const InputSpec& input = segmenter->spec().input;
        threshold = segmenter->spec().output.threshold;
        least_px = command.refine || command.exact ? 0 : kPhotoDetail * std::max(input.width_px, input.height_px);
        laps.lap("load the network");
    }
    const Result<Photo> photo = read_photo(command.input, least_px);
    if (!photo) {
        return photo.error();
    }
    const Image& image = photo.value().image;
    laps.lap("decode the image");
    Workspace workspace;
    Probability sky;
    if (!segmenter) {
        Result<Probability> given = read_mask(command.mask);
        if (!given) {
            return given.error();
        }
        sky = std::move(given.value());
        laps.lap("decode the mask");
    } else {
        if (Failure failure = segmenter->low_res(image, workspace, sky)) {
            return failure;
        }
        laps.lap("resize to the network's input, infer");
    }
    Mask mask;
    if (command.refine) {
        Result<Mask> made = refined(image, sky, laps);
        if (!made) {
            return made.error();
        }
        mask = std::move(made.value());
    } else {
        mask = enlarged(sky, photo.value().full);
        laps.lap("enlarge to 8 bits");
    }
    if (Failure failure = write_mask(mask, threshold, command.output)) {
        return failure;
    }
    laps.lap("encode and write the mask");
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
