// The report of skyedge bench as JSON: a result file of edge_runtime.benchmark (results.schema.json) without what follows from
// the samples.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/output_file.h"
#include "skyedge/sky_segmenter.h"
#include "platform.h"
#include "core/artifact/sha256.h"

namespace skyedge {
namespace {

using nlohmann::ordered_json;

constexpr const char* kRuntime = "ncnn (C++)";

double rounded(double value, int digits) {
    const double scale = std::pow(10.0, digits);
    return std::round(value * scale) / scale;
}

template <class T>
ordered_json or_null(const std::optional<T>& value) {
    return value ? ordered_json(*value) : ordered_json(nullptr);
}

// As in edge_runtime/artifact/artifact.py: the digest of the files' hex digests, joined in the order of their roles (bin, param).
std::string artifact_sha256(const ModelSpec& spec) {
    const std::string digests = spec.bin.sha256 + spec.param.sha256;
    return sha256_hex(reinterpret_cast<const std::uint8_t*>(digests.data()), digests.size());
}

// Returns the path relative to the current folder, or only the name if it is outside: no absolute paths.
std::string shown_path(const std::filesystem::path& folder) {
    std::error_code code;
    const std::filesystem::path relative = std::filesystem::relative(folder, code);
    const std::filesystem::path clean = (folder / "").parent_path();
    return code || relative.empty() || *relative.begin() == ".." ? clean.filename().string()
                                                                 : relative.generic_string();
}

ordered_json artifact_json(const BenchRow& row, int threads) {
    const ModelSpec& spec = row.spec;
    return {{"key", row.key},
            {"name", spec.name},
            {"arch", spec.arch},
            {"format", "ncnn"},
            {"precision", spec.precision},
            {"folder", shown_path(row.folder)},
            {"sha256", artifact_sha256(spec)},
            {"size_bytes", spec.param.size_bytes + spec.bin.size_bytes},
            {"input_height", spec.input.height_px},
            {"input_width", spec.input.width_px},
            {"macs", or_null(spec.macs)},
            {"parameters", or_null(spec.parameters)},
            {"weights_license", spec.weights_license},
            {"memory",
             {{"method", "VmHWM"},
              {"baseline_bytes", row.memory.baseline_bytes},
              {"peak_bytes", row.memory.peak_bytes},
              {"frames", row.memory.frames},
              {"threads", threads}}},
            {"accuracy", nullptr}};
}

ordered_json timing_json(const Timing& timing) {
    return {{"cpu_seconds", rounded(timing.cpu_seconds, 6)}, {"samples_us", timing.samples_us}};
}

ordered_json machine_json(const Machine& machine) {
    return {{"name", machine.name},
            {"cpu", machine.cpu},
            {"cpu_flags", machine.cpu_flags},
            {"architecture", machine.architecture},
            {"cores", machine.cores},
            {"governor", or_null(machine.governor)},
            {"max_mhz", or_null(machine.max_mhz)},
            {"virtual", machine.is_virtual},
            {"memory_bytes", or_null(machine.memory_bytes)},
            {"os", machine.os},
            {"kernel", machine.kernel},
            {"gpu", nullptr},
            {"tools", {{"skyedge", SKYEDGE_VERSION}, {"ncnn", NCNN_VERSION_STRING}, {"compiler", __VERSION__}}}};
}

// Encodes one line per key, with arrays of numbers on one line: thousands of samples stay readable.
std::string encode(const ordered_json& value, const std::string& indent = "\n") {
    const std::string inner = indent + " ";
    const bool nested = value.is_array() && std::any_of(value.begin(), value.end(),
                                                        [](const ordered_json& item) { return item.is_object(); });
    if (value.empty() || !(value.is_object() || nested)) {
        return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    }
    std::string text;
    for (const auto& item : value.items()) {
        text += text.empty() ? "" : ",";
        text += inner + (nested ? "" : ordered_json(item.key()).dump() + ": ") + encode(item.value(), inner);
    }
    return (nested ? "[" : "{") + text + indent + (nested ? "]" : "}");
}

std::string to_json(const BenchReport& report) {
    ordered_json artifacts = ordered_json::array();
    ordered_json rows = ordered_json::array();
    for (const BenchRow& row : report.rows) {
        artifacts.push_back(artifact_json(row, report.config.threads));
        rows.push_back({{"artifact", row.key},
                        {"label", std::string(kRuntime) + " " + row.spec.precision + ", cpu"},
                        {"runtime", kRuntime},
                        {"device", "cpu"},
                        {"threads", report.config.threads},
                        {"infer", timing_json(row.infer)},
                        {"end_to_end", timing_json(row.end_to_end)}});
        if (report.config.file_to_file) {
            ordered_json& steps = rows.back()["file_to_file"];
            for (std::size_t i = 0; i < FileTimes::kSteps.size(); ++i) {
                steps[FileTimes::kSteps[i]] = row.file_to_file.samples_us[i];
            }
        }
    }
    const std::optional<double> busy = report.other_cores_busy;
    return encode({{"raw_version", 1},
                   {"created_utc", report.created_utc},
                   {"rule",
                    {{"turns", report.turns},
                     {"min_runs", report.config.min_runs},
                     {"min_seconds", report.config.min_seconds}}},
                   {"machine", machine_json(report.machine)},
                   {"load",
                    {{"before", or_null(report.load_before)},
                     {"after", or_null(report.load_after)},
                     {"other_cores_busy", busy ? ordered_json(rounded(*busy, 2)) : ordered_json(nullptr)}}},
                   {"frame",
                    {{"height", report.frame_size.height_px},
                     {"width", report.frame_size.width_px},
                     {"content", report.frame_content}}},
                   {"artifacts", artifacts},
                   {"rows", rows}}) +
           "\n";
}

}  // namespace

Failure run_bench(const BenchConfig& config) {
    const Result<BenchReport> report = bench(config);
    if (!report) {
        return report.error();
    }
    const std::string json = to_json(report.value());
    if (config.json != "-") {
        return write_file(config.json, {json.begin(), json.end()});
    }
    std::fputs(json.c_str(), stdout);
    return std::nullopt;
}

}  // namespace skyedge
