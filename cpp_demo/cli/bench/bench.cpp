#include "cli/bench/bench.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <set>
#include <thread>

#include "cli/bench/runner.h"
#include "codec/image_io.h"
#include "core/image/frame_input.h"

namespace skyedge {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostTurns = 10;
// The thread pool of the last network stops spinning in this time, before the next one is timed.
constexpr std::chrono::milliseconds kPause{20};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Sets each row's key: its name, and its folder if several rows have the name.
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
    timing.cpu_seconds += process_seconds() - cpu;
    return std::nullopt;
}

// Times all runners in rounds, each starting with another one.
Failure take_turns(std::vector<Runner>& runners, const FrameView& frame, BenchReport& report) {
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

// A gradient with noise: a network takes the same time for any image.
Image generate(int width_px, int height_px) {
    Image image{width_px, height_px, {}};
    std::uint32_t noise = 1;
    for (int y = 0; y < height_px; ++y) {
        for (int x = 0; x < 3 * width_px; ++x) {
            noise = 1664525U * noise + 1013904223U;
            image.rgb.push_back(static_cast<std::uint8_t>((noise >> 27U) + static_cast<unsigned>(y * 200 / height_px)));
        }
    }
    return image;
}

std::string now_utc() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

// Makes a row for each artifact.
Failure list_rows(const BenchConfig& config, std::vector<BenchRow>& rows) {
    for (const std::filesystem::path& folder : config.models) {
        const Result<Artifact> artifact = read_artifact(folder);
        if (!artifact) {
            return artifact.error();
        }
        rows.push_back({artifact.value().spec.name, folder, artifact.value().spec, {}, {}, {}, {}});
    }
    name_rows(rows);
    std::set<std::string> keys;
    for (const BenchRow& row : rows) {
        if (!keys.insert(row.key).second) {
            return Error{"got " + row.key + " twice in --model, expected each artifact once"};
        }
    }
    return std::nullopt;
}

// Times every artifact from a photo's file to a mask's, one after another.
Failure measure_files(std::vector<Runner>& runners, BenchReport& report) {
    const std::filesystem::path output =
        std::filesystem::temp_directory_path() / ("skyedge-bench-" + std::to_string(::getpid()) + ".png");
    Failure failure;
    for (std::size_t i = 0; i < runners.size() && !failure; ++i) {
        const Clock::time_point start = Clock::now();
        for (int run = 0; !failure && (run < report.config.min_runs || seconds_since(start) < report.config.min_seconds); ++run) {
            failure = runners[i].file_to_file(report.config.input, output, report.rows[i].file_to_file);
        }
    }
    std::error_code code;
    std::filesystem::remove(output, code);
    return failure;
}

// Times all artifacts, and what else the machine did meanwhile.
Failure measure_latency(const FrameView& frame, BenchReport& report) {
    std::vector<Runner> runners;
    for (const BenchRow& row : report.rows) {
        Result<Runner> runner = open_runner(row.folder, report.config, frame);
        if (!runner) {
            return runner.error();
        }
        runners.push_back(std::move(runner.value()));
    }
    report.load_before = load_average();
    const auto busy = busy_seconds();
    const double own = process_seconds();
    const Clock::time_point start = Clock::now();
    if (Failure failure = take_turns(runners, frame, report)) {
        return failure;
    }
    const auto busy_after = busy_seconds();
    if (busy && busy_after) {
        report.other_cores_busy = std::max(0.0, *busy_after - *busy - (process_seconds() - own)) / seconds_since(start);
    }
    report.load_after = load_average();
    return report.config.file_to_file ? measure_files(runners, report) : std::nullopt;
}

}  // namespace

Result<BenchReport> bench(const BenchConfig& config) {
    BenchReport report;
    report.config = config;
    report.created_utc = now_utc();
    report.turns = std::min(kMostTurns, config.min_runs);
    report.machine = describe_machine(config.device_name);
    const Result<Image> image = config.input.empty() ? generate(640, 480) : read_rgb(config.input);
    if (!image) {
        return image.error();
    }
    const FrameView view = view_of(image.value());
    report.frame_size = upright_size(view);
    report.frame_content = config.input.empty() ? "a generated gradient with noise" : "the image " + config.input.filename().string();
    if (const Failure failure = list_rows(config, report.rows)) {
        return *failure;
    }
    for (BenchRow& row : report.rows) {
        std::fprintf(stderr, "memory: %s\n", row.key.c_str());
        const Result<Memory> memory = measure_memory(row.folder, config, view);
        if (!memory) {
            return memory.error();
        }
        row.memory = memory.value();
    }
    if (const Failure failure = measure_latency(view, report)) {
        return *failure;
    }
    return report;
}

}  // namespace skyedge
