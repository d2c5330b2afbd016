// The sky network: load an artifact folder once, then segment pictures.
#pragma once

#include <filesystem>
#include <memory>

#include "skyedge/image_ops.h"
#include "skyedge/model_spec.h"
#include "skyedge/result.h"

namespace skyedge {

// Memory that a thread keeps from picture to picture, so that only the first picture of a size allocates. Each thread
// needs its own; it may serve several segmenters in turn, but starts afresh at every change.
class Workspace {
public:
    Workspace() noexcept;
    Workspace(Workspace&&) noexcept;
    Workspace& operator=(Workspace&&) noexcept;
    ~Workspace();

private:
    friend class SkySegmenter;
    struct Memory;
    std::unique_ptr<Memory> memory_;
};

// Constant after `load`, so that threads may share one; copies share the network. Nothing here throws, and ncnn types
// stay inside.
class SkySegmenter {
public:
    static constexpr int kMostThreads = 64;

    // Reads and checks the artifact in `folder`, then hands it to ncnn, which computes with `threads` (1 to
    // kMostThreads).
    static Result<SkySegmenter> load(const std::filesystem::path& folder, int threads);

    // The same for an artifact whose files come from elsewhere, such as an app's resources; nobody checks their
    // SHA-256.
    static Result<SkySegmenter> from_artifact(Artifact artifact, int threads);

    // Gives the probability of sky at every pixel of the picture, at the picture's own size. After a failure `sky`
    // means nothing.
    Failure segment(const Image& image, Workspace& workspace, Probability& sky) const;

    // The same, but stops at the network's own size: what refine() wants.
    Failure coarse(const Image& image, Workspace& workspace, Probability& sky) const;

    // The same without the resizes: `image` must have the network's input size.
    Failure infer(const Image& image, Workspace& workspace, Probability& sky) const;

    // The same as `segment` for one picture.
    Result<Probability> segment(const Image& image) const;

    const ModelSpec& spec() const;

private:
    struct Network;
    friend class Workspace;

    explicit SkySegmenter(std::shared_ptr<const Network> network);

    Result<Workspace::Memory*> prepare(const Image& image, Workspace& workspace) const;
    Failure run_resized(const Image& image, Workspace::Memory& memory, Probability& sky) const;
    Failure run(const Image& resized, Workspace::Memory& memory, Probability& sky) const;

    std::shared_ptr<const Network> network_;
};

}  // namespace skyedge
