// A live stream of camera frames: keeps the workspace and the frame before, and drops frames that come too late.
#pragma once

#include <cstdint>
#include <memory>

#include "skyedge/sky_segmenter.h"
#include "skyedge/stabilizer.h"

namespace skyedge {

struct LiveOptions {
    std::int64_t max_age_ns = 100'000'000;  // a frame that is older when its turn comes is dropped; 0: none is
    bool stabilize = true;
    StabilizerConfig stabilizer;
};

enum class FrameOutcome {
    kSegmented,    // the mask is that of the frame
    kLate,         // dropped: older than max_age_ns
    kOutOfOrder,   // dropped: not newer than the frame before
    kBusy,         // dropped: another thread is still at work on the frame before
};

struct LiveCounts {
    std::int64_t segmented = 0;
    std::int64_t late = 0;
    std::int64_t out_of_order = 0;
    std::int64_t busy = 0;
};

// One per stream. May be called by any thread, as the callbacks of cameras are: a call never waits for another one.
class FrameSegmenter {
public:
    explicit FrameSegmenter(SkySegmenter segmenter, const LiveOptions& options = {});
    FrameSegmenter(FrameSegmenter&&) noexcept;
    ~FrameSegmenter();

    // Segments a frame that was taken at `timestamp_ns`, on the clock that gives `now_ns`. The mask of a frame that is
    // dropped stays as it was.
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
