// The parts of model.json, the contract of an artifact folder, that the library uses.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "skyedge/image_ops.h"
#include "skyedge/result.h"

namespace skyedge {

// A file of the artifact: its name in the folder, SHA-256 (64 hex digits) and size.
struct FileEntry {
    std::string name;
    std::string sha256;
    std::uint64_t size_bytes = 0;
};

// The network's input: x = (pixel - mean) / std per channel R, G, B, pixels 0..255, at width_px x height_px.
struct InputSpec {
    std::string blob;
    int width_px = 0;
    int height_px = 0;
    std::array<double, 3> mean{};
    std::array<double, 3> std{};
};

// The network's output: the probability of sky. A pixel counts as sky if it is at least `threshold`.
struct OutputSpec {
    std::string blob;
    double threshold = 0.0;
};

// What running or measuring a network needs. The other keys are checked too.
struct ModelSpec {
    std::string name;
    std::string arch;
    std::string precision;  // fp32, fp16 or int8
    std::string weights_license;
    std::optional<std::int64_t> macs;  // this and `parameters`: if provenance has them
    std::optional<std::int64_t> parameters;
    FileEntry param;
    FileEntry bin;
    InputSpec input;
    OutputSpec output;
    std::string golden_input;
    std::string golden_output;
    double golden_atol = 0.0;
};

// An image of the input size and the output of the exporter's reference.
struct Golden {
    Image input;
    Probability output;
};

// An artifact with checked spec and files.
struct Artifact {
    ModelSpec spec;
    std::vector<std::uint8_t> param;
    std::vector<std::uint8_t> bin;
    std::optional<Golden> golden;  // needed only for Options that check the output
};

// Parses the text of a model.json. No key has a default, and unknown keys are refused, except inside `provenance` and
// `metrics`. The error names the wrong key.
Result<ModelSpec> parse_model_spec(const std::string& text);

// Parses both golden files of an artifact whose files are in memory, .npy as model.json names them.
Result<Golden> parse_golden(const ModelSpec& spec, std::vector<std::uint8_t> input, std::vector<std::uint8_t> output);

// Reads an artifact folder: the spec, then size and SHA-256 of both files; if `with_golden`, also the golden pair. Every file
// must lie in the folder.
Result<Artifact> read_artifact(const std::filesystem::path& folder, bool with_golden = false);

}  // namespace skyedge
