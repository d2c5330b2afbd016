// Latency and memory of artifacts on this machine, as edge_runtime/benchmark measures them: `infer` from an image
// of the input size to its probabilities, `end_to_end` from a decoded frame to its 8-bit mask at the frame's size,
// `file_to_file` from a photo's file to a mask's. All artifacts stay open and are timed in short slices in turn, so that a warm or busy machine slows all of them alike.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench/machine.h"
#include "skyedge/frame.h"
#include "skyedge/model_spec.h"
#include "skyedge/result.h"

namespace skyedge {

struct BenchConfig {
    std::vector<std::filesystem::path> models;
    int threads = 1;
    int min_runs = 100;  // of each kind for each artifact, over all turns
    double min_seconds = 10.0;
    std::filesystem::path input;  // an image; empty: a generated one
    bool file_to_file = false;    // measure from `input`'s file to a mask's file too
    std::string device_name;  // by default the machine's own name
    std::string json = "-";   // file to write; "-": stdout
};

// Raw samples; edge_runtime/benchmark computes percentiles and warnings.
struct Timing {
    std::vector<std::int64_t> samples_us;  // in the order of measurement
    double cpu_seconds = 0.0;              // of this process during all of them
};

// Resident memory of a process that does nothing but run this artifact.
struct Memory {
    std::int64_t baseline_bytes = 0;  // before the artifact is opened
    std::int64_t peak_bytes = 0;      // up to the end of `frames` end-to-end runs
    int frames = 0;
};

// From a photo's file to its mask's file: the time of each step, in the order of measurement.
struct FileTimes {
    static constexpr std::array kSteps{"read", "resize", "network", "enlarge", "write"};

    std::array<std::vector<std::int64_t>, kSteps.size()> samples_us;
};

struct BenchRow {
    std::string key;  // unique in the report
    std::filesystem::path folder;
    ModelSpec spec;
    Memory memory;
    Timing infer;
    Timing end_to_end;
    FileTimes file_to_file;  // empty if it was not asked for
};

struct BenchReport {
    BenchConfig config;
    std::string created_utc;
    int turns = 1;
    Machine machine;
    std::optional<std::array<double, 3>> load_before;
    std::optional<std::array<double, 3>> load_after;
    std::optional<double> other_cores_busy;  // cores that other processes kept busy meanwhile
    FrameSize frame_size;  // upright
    std::string frame_content;
    std::vector<BenchRow> rows;
};

// Measures; progress goes to stderr. An artifact that does not run is named before anything is timed.
Result<BenchReport> bench(const BenchConfig& config);

}  // namespace skyedge
