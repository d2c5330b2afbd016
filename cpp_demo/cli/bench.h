// Latency and memory of artifacts on this machine, as edge_runtime/benchmark measures them: `infer` from a picture
// of the input size to its probabilities, `end_to_end` from a decoded frame to its 8-bit mask at the frame's size. All
// artifacts stay open and are timed in short slices that take turns, so that a machine that gets warm or busy slows all
// of them alike.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_camera.h"
#include "cli/machine.h"
#include "skyedge/model_spec.h"
#include "skyedge/result.h"

namespace skyedge {

struct BenchConfig {
    std::vector<std::filesystem::path> models;
    int threads = 1;
    int min_runs = 100;  // of each kind for each artifact, over all turns
    double min_seconds = 10.0;
    std::filesystem::path input;  // an image; by default a generated frame of 640 x 480
    std::optional<CameraFormat> camera;  // a generated frame of this kind, in place of an image
    std::string device_name;      // by default what the machine calls itself
};

struct Timing {
    std::vector<std::int64_t> samples_us;  // in the order of measurement
    double seconds = 0.0;                  // of all runs together
    double cpu_seconds = 0.0;              // of this process meanwhile

    // The percentile of the samples with linear interpolation, as numpy does it.
    double percentile_ms(double percent) const;
    double cores_used() const { return seconds > 0.0 ? cpu_seconds / seconds : 0.0; }
};

// Resident memory of a process that does nothing but run this artifact.
struct Memory {
    std::int64_t baseline_bytes = 0;  // before the artifact is opened
    std::int64_t peak_bytes = 0;      // up to the end of `frames` end-to-end runs
    int frames = 0;
};

struct BenchRow {
    std::string key;  // unique in the report
    std::filesystem::path folder;
    ModelSpec spec;
    Memory memory;
    Timing infer;
    Timing end_to_end;
};

struct BenchReport {
    BenchConfig config;
    std::string created_utc;
    int turns = 1;
    Machine machine;
    std::optional<std::array<double, 3>> load_before;
    std::optional<std::array<double, 3>> load_after;
    std::optional<double> other_cores_busy;  // cores that other processes kept busy meanwhile
    int frame_width_px = 0;
    int frame_height_px = 0;
    std::string frame_content;
    std::vector<BenchRow> rows;

    bool quick() const { return config.min_runs < 100 || config.min_seconds < 10.0; }
    std::vector<std::string> warnings() const;  // what speaks against trusting the figures
};

// Measures; progress goes to stderr. An artifact that does not run is named before anything is timed.
Result<BenchReport> bench(const BenchConfig& config);

// The report as JSON that edge_runtime/benchmark/results.schema.json describes.
std::string to_json(const BenchReport& report);

// The rows as text, fastest first.
std::string to_table(const BenchReport& report);

}  // namespace skyedge
