#include "skyedge/sky_segmenter.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/image/frame_input.h"
#include "core/image/pillow_resize.h"
#include "core/network/block_pool.h"
#include "core/network/loaded_network.h"
#include "mat.h"
#include "net.h"

namespace skyedge {
namespace {

// Rounding may take a sigmoid this far out of 0..1; a value further out is no probability.
constexpr float kRangeSlack = 1e-3F;

// The three float32 planes of the network's input. `fill` writes `count` pixels of `bytes` bytes each from `at` on.
struct Planes {
    float* red;
    float* green;
    float* blue;

    void fill(const std::uint8_t* pixel, std::size_t bytes, bool blue_first, const Normalized& table, int at,
              int count) const {
        const std::size_t first = blue_first ? 2 : 0;
        for (int i = at; i < at + count; ++i, pixel += bytes) {
            red[i] = table[0][pixel[first]];
            green[i] = table[1][pixel[1]];
            blue[i] = table[2][pixel[2 - first]];
        }
    }
};

// Copies a row of four-byte pixels into row `y` of `image`.
void copy_rgb(const std::uint8_t* row, bool blue_first, int y, Image& image) {
    const auto width = static_cast<std::size_t>(image.width_px);
    const std::size_t red = blue_first ? 2 : 0;
    std::uint8_t* to = image.rgb.data() + static_cast<std::size_t>(y) * width * kChannels;
    for (std::size_t x = 0; x < width; ++x, row += 4, to += kChannels) {
        to[0] = row[red];
        to[1] = row[1];
        to[2] = row[2 - red];
    }
}

// Copies the network's output, clamped to 0..1. Returns the first value that is no probability, if there is one.
std::optional<float> copy_probabilities(const float* values, std::vector<float>& out) {
    float low = 0.0F;
    float high = 1.0F;
    bool numbers = true;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const float p = values[i];
        numbers &= p == p;
        low = p < low ? p : low;
        high = p > high ? p : high;
        out[i] = std::clamp(p, 0.0F, 1.0F);
    }
    if (numbers && low >= -kRangeSlack && high <= 1.0F + kRangeSlack) {
        return std::nullopt;
    }
    return *std::find_if(values, values + out.size(),
                         [](float p) { return !(p >= -kRangeSlack && p <= 1.0F + kRangeSlack); });
}

Failure check_image(const Image& image) {
    const auto pixels = static_cast<std::size_t>(image.width_px) * static_cast<std::size_t>(image.height_px);
    if (image.width_px >= 1 && image.height_px >= 1 && image.rgb.size() == pixels * kChannels) {
        return std::nullopt;
    }
    return Error{"got " + std::to_string(image.rgb.size()) + " bytes for an image of " +
                 std::to_string(image.width_px) + " x " + std::to_string(image.height_px) +
                 " pixels, expected at least one pixel and three bytes for each"};
}

}  // namespace

struct Workspace::Memory {
    // Keeps the network alive as long as the extractor refers to it.
    std::shared_ptr<const SkySegmenter::Network> network;
    BlockPool pool;
    std::optional<ncnn::Extractor> extractor;
    FrameRows rows;
    RowResizer to_input;
    Probability small;
    ProbabilityResizer to_image;
};

Workspace::Workspace() noexcept = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;
Workspace::~Workspace() = default;

// Prepares the workspace for this network.
Workspace::Memory& SkySegmenter::prepare(Workspace& workspace) const {
    if (workspace.memory_ == nullptr || workspace.memory_->network != network_) {
        workspace.memory_.reset();  // frees its memory before the new one allocates
        workspace.memory_ = std::make_unique<Workspace::Memory>();
        workspace.memory_->network = network_;
    }
    Workspace::Memory& memory = *workspace.memory_;
    if (!memory.extractor) {
        memory.extractor.emplace(network_->net.create_extractor());
        memory.extractor->set_blob_allocator(&memory.pool);
        memory.extractor->set_workspace_allocator(&memory.pool);
    }
    return memory;
}

// Runs the network on the frame, then `enlarge` on its resizer and the probability at the network's size.
template <class Enlarge>
Failure SkySegmenter::segment_frame(const FrameView& frame, Workspace& workspace, const Enlarge& enlarge) const {
    return guarded("segment the frame", [&]() -> Failure {
        Workspace::Memory& memory = prepare(workspace);
        Failure failure = low_res(frame, workspace, memory.small);
        if (!failure) {
            enlarge(memory.to_image, memory.small);
        }
        return failure;
    });
}

Failure SkySegmenter::segment(const Image& image, Workspace& workspace, Probability& sky) const {
    if (Failure failure = check_image(image)) {
        return failure;
    }
    return segment_frame(view_of(image), workspace, [&](ProbabilityResizer& resizer, const Probability& small) {
        resizer.resize(small, image.width_px, image.height_px, sky);
    });
}

Failure SkySegmenter::segment(const FrameView& frame, Workspace& workspace, const MaskView& mask) const {
    if (Failure failure = check_mask(mask)) {
        return failure;
    }
    return segment_frame(frame, workspace, [&](ProbabilityResizer& resizer, const Probability& small) {
        resizer.resize(small, mask);
    });
}

Failure SkySegmenter::low_res(const Image& image, Workspace& workspace, Probability& sky) const {
    const Failure failure = check_image(image);
    return failure ? failure : low_res(view_of(image), workspace, sky);
}

Failure SkySegmenter::low_res(const FrameView& frame, Workspace& workspace, Probability& sky, Image* image) const {
    if (Failure failure = check_frame(frame)) {
        return failure;
    }
    return guarded("segment the frame", [&]() -> Failure {
        Workspace::Memory& memory = prepare(workspace);
        const InputSpec& input = spec().input;
        const FrameSize size = upright_size(frame);
        memory.rows.open(frame);
        const bool blue_first = memory.rows.blue_first();
        if (image != nullptr) {
            image->width_px = input.width_px;
            image->height_px = input.height_px;
            image->rgb.resize(static_cast<std::size_t>(input.width_px) * static_cast<std::size_t>(input.height_px) *
                              kChannels);
        }
        return run(memory, sky, [&](const Planes& planes) {
            memory.to_input.resize(memory.rows, size.width_px, size.height_px, input.width_px, input.height_px,
                                   [&](int y, const std::uint8_t* row) {
                                       planes.fill(row, 4, blue_first, network_->table, y * input.width_px,
                                                   input.width_px);
                                       if (image != nullptr) {
                                           copy_rgb(row, blue_first, y, *image);
                                       }
                                   });
        });
    });
}

Failure SkySegmenter::infer(const Image& image, Workspace& workspace, Probability& sky) const {
    if (Failure failure = check_image(image)) {
        return failure;
    }
    const InputSpec& input = spec().input;
    if (image.width_px != input.width_px || image.height_px != input.height_px) {
        return Error{"got an image of " + std::to_string(image.width_px) + " x " + std::to_string(image.height_px) +
                     " pixels, expected " + std::to_string(input.width_px) + " x " + std::to_string(input.height_px) +
                     "; resize it with resize_pillow_bilinear, or call segment"};
    }
    return guarded("run the network", [&]() -> Failure {
        return run(prepare(workspace), sky, [&](const Planes& planes) {
            planes.fill(image.rgb.data(), kChannels, false, network_->table, 0, image.width_px * image.height_px);
        });
    });
}

Result<Probability> SkySegmenter::segment(const Image& image) const {
    Workspace workspace;
    Probability sky;
    if (const Failure failure = segment(image, workspace, sky)) {
        return *failure;
    }
    return sky;
}

// Runs the network on the input that `fill` writes.
template <class Fill>
Failure SkySegmenter::run(Workspace::Memory& memory, Probability& sky, const Fill& fill) const {
    const Network& network = *network_;
    const InputSpec& input = network.spec.input;
    ncnn::Extractor& extractor = *memory.extractor;
    ncnn::Mat answer;
    {
        ncnn::Mat blob(input.width_px, input.height_px, static_cast<int>(kChannels), sizeof(float), &memory.pool);
        if (blob.empty()) {
            return Error{"cannot run the network: no memory for its input", ErrorCode::kMemory};
        }
        fill(Planes{blob.channel(0), blob.channel(1), blob.channel(2)});
        if (const int code = extractor.input(network.input_index, blob); code != 0) {
            return ncnn_error(network.spec, "input " + input.blob, code);
        }
    }
    if (const int code = extractor.extract(network.output_index, answer); code != 0) {
        memory.extractor.reset();  // its blobs of the failed run must not reach the next run
        return ncnn_error(network.spec, "output " + network.spec.output.blob, code);
    }
    // ncnn frees every used blob except the output, which it would return again for the next input.
    extractor.input(network.output_index, ncnn::Mat());
    if (answer.w != input.width_px || answer.h != input.height_px || answer.d != 1 || answer.c != 1 ||
        answer.elemsize != sizeof(float)) {
        return Error{network.spec.name + ": got an output of " + std::to_string(answer.c) + " x " +
                         std::to_string(answer.h) + " x " + std::to_string(answer.w) +
                         ", expected one channel of float32 at the input's size; export it again",
                     ErrorCode::kNetwork};
    }
    sky.width_px = answer.w;
    sky.height_px = answer.h;
    sky.values.resize(static_cast<std::size_t>(answer.w) * static_cast<std::size_t>(answer.h));
    if (const std::optional<float> wrong = copy_probabilities(answer.channel(0), sky.values)) {
        return Error{network.spec.name + ": got network output " + std::to_string(*wrong) +
                         ", expected 0 to 1; export the artifact again",
                     ErrorCode::kNetwork};
    }
    return std::nullopt;
}

}  // namespace skyedge
