// model.json, the contract of an artifact folder, as this program uses it.
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

// What the network eats: x = (pixel - mean) / std per channel R, G, B, pixels 0..255, at width_px x height_px.
struct InputSpec {
    std::string blob;
    int width_px = 0;
    int height_px = 0;
    std::array<double, 3> mean{};
    std::array<double, 3> std{};
};

// What it gives: the probability of sky; a pixel counts as sky from `threshold` on.
struct OutputSpec {
    std::string blob;
    double threshold = 0.0;
};

// The part of model.json that running or measuring a network needs. The rest is checked all the same.
struct ModelSpec {
    std::string name;
    std::string arch;
    std::string precision;  // fp32, fp16 or int8
    std::string weights_license;
    std::optional<std::int64_t> macs;  // this and `parameters`: where provenance tells them
    std::optional<std::int64_t> parameters;
    FileEntry param;
    FileEntry bin;
    InputSpec input;
    OutputSpec output;
    std::string golden_input;
    std::string golden_output;
    double golden_atol = 0.0;
};

// An image of the input size, and what the exporter's reference gave for it.
struct Golden {
    Image input;
    Probability output;
};

// An artifact whose spec and files were checked.
struct Artifact {
    ModelSpec spec;
    std::vector<std::uint8_t> param;
    std::vector<std::uint8_t> bin;
    std::optional<Golden> golden;  // only Options that ask for a check need it
};

// Parses the text of a model.json. Nothing has a default and unknown keys are refused, except inside `provenance` and
// `metrics`. The message names the key that is wrong.
Result<ModelSpec> parse_model_spec(const std::string& text);

// Reads an artifact folder: the spec, then size and SHA-256 of both files; with_golden, the golden pair too. Every file
// must lie in the folder.
Result<Artifact> read_artifact(const std::filesystem::path& folder, bool with_golden = false);

}  // namespace skyedge
