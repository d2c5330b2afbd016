#include "skyedge/frame_segmenter.h"

#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <utility>

#include "core/image/frame_input.h"

namespace skyedge {

struct FrameSegmenter::State {
    State(SkySegmenter given, const LiveOptions& wanted)
        : segmenter(std::move(given)), options(wanted), stabilizer(wanted.stabilizer) {}

    SkySegmenter segmenter;
    LiveOptions options;
    Stabilizer stabilizer;
    Workspace workspace;
    Probability sky;
    Image input;
    ProbabilityResizer enlarge;
    std::int64_t last_ns = std::numeric_limits<std::int64_t>::min();
    std::mutex mutex;
    std::atomic<std::int64_t> segmented{0}, late{0}, out_of_order{0}, busy{0};
};

FrameSegmenter::FrameSegmenter(SkySegmenter segmenter, const LiveOptions& options)
    : state_(std::make_unique<State>(std::move(segmenter), options)) {}
FrameSegmenter::FrameSegmenter(FrameSegmenter&&) noexcept = default;
FrameSegmenter::~FrameSegmenter() = default;

LiveCounts FrameSegmenter::counts() const {
    return {state_->segmented, state_->late, state_->out_of_order, state_->busy};
}

Result<FrameOutcome> FrameSegmenter::segment(const FrameView& frame, std::int64_t timestamp_ns, const MaskView& mask) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return segment(frame, timestamp_ns, std::chrono::duration_cast<std::chrono::nanoseconds>(now).count(), mask);
}

Result<FrameOutcome> FrameSegmenter::segment(const FrameView& frame, std::int64_t timestamp_ns, std::int64_t now_ns,
                                             const MaskView& mask) {
    State& state = *state_;
    const std::unique_lock<std::mutex> lock(state.mutex, std::try_to_lock);
    if (!lock) {
        ++state.busy;
        return FrameOutcome::kBusy;
    }
    if (timestamp_ns <= state.last_ns) {
        ++state.out_of_order;
        return FrameOutcome::kOutOfOrder;
    }
    state.last_ns = timestamp_ns;
    if (state.options.max_age_ns > 0 && now_ns > timestamp_ns && now_ns - timestamp_ns > state.options.max_age_ns) {
        ++state.late;
        return FrameOutcome::kLate;
    }
    Failure failure = check_mask(mask);
    if (!failure) {
        Image* const input = state.options.stabilize ? &state.input : nullptr;
        failure = state.segmenter.low_res(frame, state.workspace, state.sky, input);
    }
    if (!failure && state.options.stabilize) {
        failure = state.stabilizer.step(state.input, state.sky);
    }
    if (failure) {
        return *failure;
    }
    state.enlarge.resize(state.sky, mask);
    ++state.segmented;
    return FrameOutcome::kSegmented;
}

}  // namespace skyedge
