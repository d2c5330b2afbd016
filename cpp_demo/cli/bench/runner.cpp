#include "cli/bench/runner.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/bench/machine.h"
#include "cli/output_file.h"
#include "codec/image_io.h"
#include "cli/stopwatch.h"

namespace skyedge {
namespace {

constexpr int kMemoryFrames = 3;

// Runs in the child process.
std::optional<Memory> measure_here(const std::filesystem::path& folder, const BenchConfig& config, const FrameView& frame) {
    const auto baseline = status_bytes("VmRSS");
    Result<Runner> runner = open_runner(folder, config, frame);
    for (int i = 0; runner && i < kMemoryFrames; ++i) {
        if (runner.value().end_to_end(frame)) {
            return std::nullopt;
        }
    }
    const auto peak = status_bytes("VmHWM");
    if (!runner || !baseline || !peak) {
        return std::nullopt;
    }
    return Memory{*baseline, *peak, kMemoryFrames};
}

}  // namespace

Failure Runner::end_to_end(const FrameView& frame) {
    const FrameSize size = upright_size(frame);
    mask.resize(static_cast<std::size_t>(size.width_px) * static_cast<std::size_t>(size.height_px));
    return segmenter.segment(frame, workspace, {mask.data(), size.width_px, size.width_px, size.height_px});
}

Failure Runner::file_to_file(const std::filesystem::path& photo, const std::filesystem::path& output, FileTimes& times) {
    Stopwatch watch;
    std::size_t step = 0;
    const auto lap = [&] { times.samples_us[step++].push_back(std::llround(watch.lap_ms() * 1000)); };
    const InputSpec& input = segmenter.spec().input;
    const Result<Photo> read = read_photo(photo, kPhotoDetail * std::max(input.width_px, input.height_px));
    if (!read) {
        return read.error();
    }
    lap();
    small = resize_pillow_bilinear(read.value().image, input.width_px, input.height_px);
    lap();
    if (Failure failure = infer()) {
        return failure;
    }
    lap();
    const Mask full = enlarged(sky, read.value().full);
    lap();
    const Result<std::vector<std::uint8_t>> png = encode_png(full);
    Failure failure = png ? write_file(output, png.value()) : png.error();
    lap();
    return failure;
}

Result<Runner> open_runner(const std::filesystem::path& folder, const BenchConfig& config, const FrameView& frame) {
    const Result<SkySegmenter> segmenter = SkySegmenter::load(folder, {config.threads});
    if (!segmenter) {
        return segmenter.error();
    }
    Runner runner{segmenter.value()};
    if (const Failure failure = runner.segmenter.low_res(frame, runner.workspace, runner.sky, &runner.small)) {
        return *failure;
    }
    return runner;
}

// The child only ever leaves by _exit: nothing of the parent's may run twice.
Result<Memory> measure_memory(const std::filesystem::path& folder, const BenchConfig& config, const FrameView& frame) {
    int ends[2];
    if (::pipe(ends) != 0) {
        return Error{"cannot measure memory: no pipe; close other programs and run again"};
    }
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        const std::optional<Memory> memory = measure_here(folder, config, frame);
        const bool told = memory && ::write(ends[1], &*memory, sizeof *memory) == sizeof *memory;
        ::_exit(told ? 0 : 1);
    }
    ::close(ends[1]);
    Memory memory;
    const bool got = child > 0 && ::read(ends[0], &memory, sizeof memory) == sizeof memory;
    ::close(ends[0]);
    int status = 0;
    const bool ended = child > 0 && ::waitpid(child, &status, 0) == child;
    if (!got || !ended || status != 0) {
        const bool killed = ended && WIFSIGNALED(status);
        return Error{"artifact " + folder.string() + " does not run: its process " +
                     (killed ? "was ended by signal " + std::to_string(WTERMSIG(status)) : std::string("failed")) +
                     ", expected three masks; try skyedge segment on it, or export it again"};
    }
    return memory;
}

}  // namespace skyedge
