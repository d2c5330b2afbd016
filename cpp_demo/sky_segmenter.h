// The sky network: load an artifact folder once, then segment pictures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "image_ops.h"
#include "model_spec.h"
#include "result.h"

namespace ncnn {
class Net;
}

namespace skyedge {

// Constant after `load`, so that threads may share one. Nothing here throws, and ncnn types stay inside.
class SkySegmenter {
public:
    static constexpr int kMostThreads = 64;

    // Reads and checks the artifact in `folder`, then hands it to ncnn, which computes with `threads` (1 to
    // kMostThreads).
    static Result<SkySegmenter> load(const std::filesystem::path& folder, int threads);

    // Returns the probability of sky at every pixel of the picture, at the picture's own size.
    Result<Probability> segment(const Image& image) const;

    const ModelSpec& spec() const { return spec_; }

    SkySegmenter(SkySegmenter&&) noexcept;
    SkySegmenter& operator=(SkySegmenter&&) noexcept;
    ~SkySegmenter();

private:
    SkySegmenter(Artifact artifact, std::unique_ptr<ncnn::Net> net);

    Result<Probability> run(const Image& resized) const;

    ModelSpec spec_;
    std::vector<std::uint8_t> bin_;  // ncnn refers to weights in here; goes after the net
    std::unique_ptr<ncnn::Net> net_;
};

}  // namespace skyedge
