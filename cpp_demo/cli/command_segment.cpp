// skyedge segment and verify: an image into a mask, and an artifact's golden pair.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/commands.h"
#include "cli/output_file.h"
#include "codec/image_io.h"
#include "skyedge/refine.h"
#include "skyedge/sky_segmenter.h"

namespace skyedge {

Failure run_segment(const SegmentCommand& command) {
    const Result<SkySegmenter> segmenter = SkySegmenter::load(command.model, {command.threads});
    if (!segmenter) {
        return segmenter.error();
    }
    const ModelSpec& spec = segmenter.value().spec();
    const int enough_px = kPhotoDetail * std::max(spec.input.width_px, spec.input.height_px);
    const Result<Photo> photo = read_photo(command.input, command.refine || command.exact ? 0 : enough_px);
    if (!photo) {
        return photo.error();
    }
    Workspace workspace;
    Probability sky, fine;
    if (Failure failure = segmenter.value().low_res(photo.value().image, workspace, sky)) {
        return failure;
    }
    if (command.refine) {
        if (Failure failure = refine(photo.value().image, sky, fine)) {
            return failure;
        }
    }
    const Mask mask = command.refine ? to_mask8(fine) : enlarged(sky, photo.value().full);
    const Result<std::vector<std::uint8_t>> png = encode_png(mask);
    if (!png) {
        return png.error();
    }
    if (Failure failure = write_file(command.output, png.value())) {
        return failure;
    }
    const auto least = std::nearbyint(255 * spec.output.threshold);
    const auto count = std::count_if(mask.values.begin(), mask.values.end(), [&](std::uint8_t p) { return p >= least; });
    std::printf("%s: %d x %d pixels, %.1f %% sky\n", command.output.string().c_str(), mask.width_px, mask.height_px,
                100.0 * static_cast<double>(count) / static_cast<double>(mask.values.size()));
    return std::nullopt;
}

Failure run_verify(const std::filesystem::path& model) {
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
