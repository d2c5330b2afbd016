// A live stream of camera frames: keeps its workspace and the previous frame, and drops late frames.
#pragma once

#include <cstdint>
#include <memory>

#include "skyedge/sky_segmenter.h"
#include "skyedge/stabilizer.h"

namespace skyedge {

struct LiveOptions {
    std::int64_t max_age_ns = 100'000'000;  // older frames are dropped; 0: none
    bool stabilize = true;
    StabilizerConfig stabilizer;
};

enum class FrameOutcome {
    kSegmented,    // the mask was written
    kLate,         // dropped: older than max_age_ns
    kOutOfOrder,   // dropped: not newer than the previous frame
    kBusy,         // dropped: another thread is still segmenting the previous frame
};

struct LiveCounts {
    std::int64_t segmented = 0;
    std::int64_t late = 0;
    std::int64_t out_of_order = 0;
    std::int64_t busy = 0;
};

// One per stream. Any thread may call it, such as a camera's callback; a call never waits for another one.
class FrameSegmenter {
public:
    explicit FrameSegmenter(SkySegmenter segmenter, const LiveOptions& options = {});
    FrameSegmenter(FrameSegmenter&&) noexcept;
    ~FrameSegmenter();

    // Segments a frame that was taken at `timestamp_ns`; `now_ns` is the current time of the same clock. If the frame is
    // dropped, the mask is not changed.
    Result<FrameOutcome> segment(const FrameView& frame, std::int64_t timestamp_ns, std::int64_t now_ns,
                                 const MaskView& mask);

    // The same on std::chrono::steady_clock, which is CLOCK_MONOTONIC on Linux and Android.
    Result<FrameOutcome> segment(const FrameView& frame, std::int64_t timestamp_ns, const MaskView& mask);

    LiveCounts counts() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace skyedge
