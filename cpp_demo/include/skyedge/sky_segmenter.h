// The sky network: load an artifact folder once, then segment images or camera frames.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "skyedge/frame.h"
#include "skyedge/image_ops.h"
#include "skyedge/model_spec.h"
#include "skyedge/result.h"
#include "skyedge/version.h"

namespace skyedge {

constexpr int kMostThreads = 64;

// How to compute. The defaults give the same mask on every device.
struct Options {
    int threads = 1;         // 1 to kMostThreads
    bool fp16 = false;       // arithmetic in half precision, where the CPU has it
    bool vulkan = false;     // on the GPU, where ncnn was built with Vulkan
    bool big_cores = false;  // on the fast cores only; ncnn sets this for the whole process
    bool self_test = false;  // fail to load where the golden pair does not come out
};

// Memory that a thread keeps from image to image, so that only the first image of a size allocates. Each thread needs
// its own; it may serve several segmenters in turn, but starts afresh at every change.
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
    // Reads and checks the artifact in `folder`, then hands it to ncnn. fp16 and vulkan are tried on the golden pair: where
    // it is missing or does not come out, float32 on the CPU is used instead and notes() says so.
    static Result<SkySegmenter> load(const std::filesystem::path& folder, const Options& options = {});

    // The same for an artifact whose files come from elsewhere, such as an app's resources; nobody checks their
    // SHA-256.
    static Result<SkySegmenter> from_artifact(Artifact artifact, const Options& options = {});

    // Gives the probability of sky at every pixel of the image, at the image's own size. After a failure `sky` means
    // nothing.
    Failure segment(const Image& image, Workspace& workspace, Probability& sky) const;

    // The same from a camera's frame to the caller's memory: the mask covers the upright, cropped frame. Conversion,
    // rotation, resize and normalization are one pass; the input is exactly that of the converted frame as an image.
    Failure segment(const FrameView& frame, Workspace& workspace, const MaskView& mask) const;

    // The same, but stops at the network's own size: what refine() and Stabilizer want.
    Failure low_res(const Image& image, Workspace& workspace, Probability& sky) const;
    // `input` receives the network's input: upright RGB of the input size.
    Failure low_res(const FrameView& frame, Workspace& workspace, Probability& sky, Image* input = nullptr) const;

    // The same without the resizes: `image` must have the network's input size.
    Failure infer(const Image& image, Workspace& workspace, Probability& sky) const;

    // The same as `segment` for one image.
    Result<Probability> segment(const Image& image) const;

    const ModelSpec& spec() const;

    // What was asked for in Options and is not used, and why. Empty where all is used.
    const std::vector<std::string>& notes() const;

private:
    struct Network;
    friend class Workspace;

    explicit SkySegmenter(std::shared_ptr<const Network> network);
    static Result<SkySegmenter> open(const Artifact& artifact, const Options& options);
    Failure self_test(const Golden& golden, double tolerance) const;
    Result<Workspace::Memory*> prepare(Workspace& workspace) const;
    template <class Fill>
    Failure run(Workspace::Memory& memory, Probability& sky, const Fill& fill) const;

    std::shared_ptr<const Network> network_;
};

}  // namespace skyedge
