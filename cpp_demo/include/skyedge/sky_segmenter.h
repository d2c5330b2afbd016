// The sky network: load an artifact folder once, then segment images or camera frames.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
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
    bool self_test = false;  // fail to load if the golden output differs
};

// Memory that a thread reuses, so that only the first image of a size allocates. Each thread needs its own. A workspace
// may serve several segmenters in turn, but allocates anew at every change.
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

// Constant after `load`, so threads may share one; copies share the network. No function throws.
class SkySegmenter {
public:
    // Reads and checks the artifact in `folder`, then hands it to ncnn. fp16 and vulkan are tested on the golden pair: if
    // it is missing or its output differs, float32 on the CPU is used instead and notes() tells.
    static Result<SkySegmenter> load(const std::filesystem::path& folder, const Options& options = {});

    // The same for an artifact in memory, such as an app's resources. Its SHA-256 is not checked.
    static Result<SkySegmenter> from_artifact(Artifact artifact, const Options& options = {});

    // Writes the probability of sky at every pixel of the image to `sky`, whose content is undefined after a failure.
    Failure segment(const Image& image, Workspace& workspace, Probability& sky) const;

    // The same for a camera frame and a mask in the caller's memory. The mask covers the upright, cropped frame. Conversion,
    // rotation, resize and normalization are one pass, with exactly the network input of the converted frame as an image.
    Failure segment(const FrameView& frame, Workspace& workspace, const MaskView& mask) const;

    // The same at the network's own size, the input of refine().
    Failure low_res(const Image& image, Workspace& workspace, Probability& sky) const;
    // `input` receives the network's input: upright RGB of the input size.
    Failure low_res(const FrameView& frame, Workspace& workspace, Probability& sky, Image* input = nullptr) const;

    // Runs the network without resizing: `image` must have the network's input size.
    Failure infer(const Image& image, Workspace& workspace, Probability& sky) const;

    // `segment` for a single image, with a workspace of its own.
    Result<Probability> segment(const Image& image) const;

    const ModelSpec& spec() const;

    // The requested Options that are not used, and why; empty if all are used.
    const std::vector<std::string>& notes() const;

private:
    struct Network;
    friend class Workspace;

    explicit SkySegmenter(std::shared_ptr<const Network> network);
    static Result<SkySegmenter> open(const Artifact& artifact, const Options& options);
    Failure self_test(const std::optional<Golden>& golden, double tolerance) const;
    Workspace::Memory& prepare(Workspace& workspace) const;
    template <class Enlarge>
    Failure segment_frame(const FrameView& frame, Workspace& workspace, const Enlarge& enlarge) const;
    template <class Fill>
    Failure run(Workspace::Memory& memory, Probability& sky, const Fill& fill) const;

    std::shared_ptr<const Network> network_;
};

}  // namespace skyedge
