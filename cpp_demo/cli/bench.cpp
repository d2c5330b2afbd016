#include "cli/bench.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <set>
#include <thread>

#include "codec/image_io.h"
#include "skyedge/image_ops.h"
#include "skyedge/sky_segmenter.h"

namespace skyedge {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kFrameWidthPx = 640;
constexpr int kFrameHeightPx = 480;
constexpr int kMostTurns = 10;
constexpr int kMemoryFrames = 3;
// The same as edge_runtime/benchmark/latency.py: the load average before the start is recorded but not judged, since measuring
// memory, which just went before, shows in it.
constexpr double kBusyCores = 0.1;      // cores that others may keep busy meanwhile
constexpr double kStarvedCores = 0.95;  // a row that gets less of a core than this was interrupted
// Lets the thread pool of the last network stop spinning before the next one is timed.
constexpr std::chrono::milliseconds kPause{20};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// What a frame shows costs a network no time.
Image generate_frame() {
    Image frame{kFrameWidthPx, kFrameHeightPx, {}};
    frame.rgb.reserve(static_cast<std::size_t>(kFrameWidthPx * kFrameHeightPx * 3));
    std::uint32_t noise = 1;
    for (int y = 0; y < kFrameHeightPx; ++y) {
        for (int x = 0; x < kFrameWidthPx * 3; ++x) {
            noise = 1664525U * noise + 1013904223U;
            frame.rgb.push_back(static_cast<std::uint8_t>((noise >> 27U) + static_cast<unsigned>(y * 7 / 16)));
        }
    }
    return frame;
}

// An artifact held open with its own memory.
struct Runner {
    SkySegmenter segmenter;
    Image small;  // the frame at the input size
    Workspace workspace{};
    Probability sky{};
    Mask mask{};
    std::optional<CameraBuffers> camera{};

    Failure infer() { return segmenter.infer(small, workspace, sky); }

    Failure end_to_end(const Image& frame) {
        if (camera) {
            return segmenter.segment(camera->frame(), workspace, camera->mask());
        }
        Failure failure = segmenter.segment(frame, workspace, sky);
        if (!failure) {
            to_mask8(sky, mask);
        }
        return failure;
    }
};

Result<Runner> open_runner(const std::filesystem::path& folder, const BenchConfig& config, const Image& frame) {
    const Result<SkySegmenter> segmenter = SkySegmenter::load(folder, {config.threads});
    if (!segmenter) {
        return segmenter.error();
    }
    const InputSpec& input = segmenter.value().spec().input;
    Runner runner{segmenter.value(), resize_pillow_bilinear(frame, input.width_px, input.height_px)};
    if (config.camera) {
        runner.camera.emplace(*config.camera);
    }
    return runner;
}

// Runs in the child of `measure_memory`.
std::optional<Memory> measure_here(const std::filesystem::path& folder, const BenchConfig& config, const Image& frame) {
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

// Measures in a process of its own, since memory that one artifact has freed would be counted for the next. The child
// only ever leaves by _exit: nothing of the parent's may run twice.
Result<Memory> measure_memory(const std::filesystem::path& folder, const BenchConfig& config, const Image& frame) {
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

// Names are keys, with the folder where names clash.
void name_rows(std::vector<BenchRow>& rows) {
    std::multiset<std::string> names;
    for (const BenchRow& row : rows) {
        names.insert(row.spec.name);
    }
    for (BenchRow& row : rows) {
        const std::filesystem::path place = std::filesystem::absolute(row.folder).lexically_normal();
        const std::filesystem::path end = place.has_filename() ? place : place.parent_path();
        const std::string where = (end.parent_path().filename() / end.filename()).string();
        row.key = names.count(row.spec.name) == 1 ? row.spec.name : row.spec.name + " (" + where + ")";
    }
}

// Times a slice of `run`, after an untimed run that fills the caches again.
template <class Run>
Failure time_slice(const Run& run, int runs, double seconds, Timing& timing) {
    if (Failure failure = run()) {
        return failure;
    }
    const double cpu = process_seconds();
    double spent = 0.0;
    for (int i = 0; i < runs || spent < seconds; ++i) {
        const Clock::time_point start = Clock::now();
        if (Failure failure = run()) {
            return failure;
        }
        const double sample = seconds_since(start);
        spent += sample;
        timing.samples_us.push_back(std::llround(sample * 1e6));
    }
    timing.seconds += spent;
    timing.cpu_seconds += process_seconds() - cpu;
    return std::nullopt;
}

// Times all runners in rounds, each starting with another one.
Failure take_turns(std::vector<Runner>& runners, const Image& frame, BenchReport& report) {
    const int runs = (report.config.min_runs + report.turns - 1) / report.turns;
    const double seconds = report.config.min_seconds / report.turns;
    const Clock::time_point start = Clock::now();
    for (int turn = 0; turn < report.turns; ++turn) {
        const std::size_t shift =
            static_cast<std::size_t>(turn) * runners.size() / static_cast<std::size_t>(report.turns);
        for (std::size_t i = 0; i < runners.size(); ++i) {
            const std::size_t index = (i + shift) % runners.size();
            Runner& runner = runners[index];
            BenchRow& row = report.rows[index];
            std::this_thread::sleep_for(kPause);
            for (const bool whole : {turn % 2 != 0, turn % 2 == 0}) {
                Failure failure =
                    whole ? time_slice([&] { return runner.end_to_end(frame); }, runs, seconds, row.end_to_end)
                          : time_slice([&] { return runner.infer(); }, runs, seconds, row.infer);
                if (failure) {
                    return failure;
                }
            }
        }
        const double left = seconds_since(start) / (turn + 1) * (report.turns - turn - 1);
        std::fprintf(stderr, "latency: turn %d of %d done, about %.0f s left\n", turn + 1, report.turns, left);
    }
    return std::nullopt;
}

std::string now_utc() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

std::string decimal(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f", value);
    return text;
}

}  // namespace

double Timing::percentile_ms(double percent) const {
    std::vector<std::int64_t> sorted = samples_us;
    std::sort(sorted.begin(), sorted.end());
    const double place = percent / 100.0 * static_cast<double>(sorted.size() - 1);
    const auto low = static_cast<std::size_t>(place);
    const std::size_t high = std::min(low + 1, sorted.size() - 1);
    const auto below = static_cast<double>(sorted[low]);
    return (below + (place - static_cast<double>(low)) * (static_cast<double>(sorted[high]) - below)) / 1000.0;
}

std::vector<std::string> BenchReport::warnings() const {
    std::vector<std::string> found;
    const std::string cores = std::to_string(machine.cores);
    if (other_cores_busy && *other_cores_busy > kBusyCores) {
        found.push_back("Other processes kept " + decimal(*other_cores_busy) + " of " + cores +
                        " cores busy during the measurement, so latencies may be too high.");
    }
    const auto starved = std::count_if(rows.begin(), rows.end(), [](const BenchRow& row) {
        return std::min(row.infer.cores_used(), row.end_to_end.cores_used()) < kStarvedCores;
    });
    if (starved > 0) {
        found.push_back(std::to_string(starved) + " of " + std::to_string(rows.size()) +
                        " rows on the CPU had less than " + decimal(kStarvedCores) +
                        " of a core while they were timed: they waited for something else.");
    }
    if (config.threads > machine.cores) {
        found.push_back("The rows with " + std::to_string(config.threads) + " threads ran on " + cores + " cores.");
    }
    return found;
}

Result<BenchReport> bench(const BenchConfig& config) {
    BenchReport report;
    report.config = config;
    report.created_utc = now_utc();
    report.turns = std::min(kMostTurns, config.min_runs);
    report.machine = describe_machine(config.device_name);
    Image frame;
    if (config.input.empty()) {
        frame = generate_frame();
        report.frame_content = "a generated gradient with noise";
    } else {
        Result<Image> read = read_rgb(config.input);
        if (!read) {
            return read.error();
        }
        frame = std::move(read.value());
        report.frame_content = "the image " + config.input.filename().string();
    }
    report.frame_width_px = frame.width_px;
    report.frame_height_px = frame.height_px;
    if (config.camera) {
        const FrameSize size = upright_size(CameraBuffers(*config.camera).frame());
        report.frame_width_px = size.width_px;
        report.frame_height_px = size.height_px;
        report.frame_content = "a generated frame of a camera, " + config.camera->text;
    }
    for (const std::filesystem::path& folder : config.models) {
        const Result<Artifact> artifact = read_artifact(folder);
        if (!artifact) {
            return artifact.error();
        }
        report.rows.push_back({artifact.value().spec.name, folder, artifact.value().spec, {}, {}, {}});
    }
    name_rows(report.rows);
    std::set<std::string> keys;
    for (BenchRow& row : report.rows) {
        if (!keys.insert(row.key).second) {
            return Error{"got " + row.key + " twice in --model, expected each artifact once"};
        }
        std::fprintf(stderr, "memory: %s\n", row.key.c_str());
        const Result<Memory> memory = measure_memory(row.folder, config, frame);
        if (!memory) {
            return memory.error();
        }
        row.memory = memory.value();
    }
    std::vector<Runner> runners;
    for (const BenchRow& row : report.rows) {
        Result<Runner> runner = open_runner(row.folder, config, frame);
        if (!runner) {
            return runner.error();
        }
        runners.push_back(std::move(runner.value()));
    }
    report.load_before = load_average();
    const auto busy = busy_seconds();
    const double own = process_seconds();
    const Clock::time_point start = Clock::now();
    if (const Failure failure = take_turns(runners, frame, report)) {
        return *failure;
    }
    const auto busy_after = busy_seconds();
    if (busy && busy_after) {
        report.other_cores_busy = std::max(0.0, *busy_after - *busy - (process_seconds() - own)) / seconds_since(start);
    }
    report.load_after = load_average();
    return report;
}

}  // namespace skyedge
