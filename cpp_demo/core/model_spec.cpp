#include "skyedge/model_spec.h"

#include <cmath>
#include <limits>
#include <utility>

#include "core/files.h"
#include "core/json_reader.h"
#include "core/sha256.h"

namespace skyedge {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::int64_t kSchemaVersion = 1;
constexpr std::int64_t kMostBytes = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMostSidePx = 1 << 14;  // far above any of our networks; keeps sizes within an int

FileEntry read_entry(const ObjectReader& files, const char* role) {
    const ObjectReader entry = files.object(role, {"path", "sha256", "bytes"});
    return {entry.file_name("path"), entry.sha256("sha256"),
            static_cast<std::uint64_t>(entry.integer("bytes", 1, kMostBytes))};
}

// Three finite numbers, all above `above`.
std::array<double, 3> read_rgb_numbers(const ObjectReader& input, const char* key, double above, const char* expected) {
    std::array<double, 3> numbers{};
    const json& list = input.at(key);
    bool good = list.is_array() && list.size() == numbers.size();
    for (std::size_t i = 0; good && i < numbers.size(); ++i) {
        good = list[i].is_number() && list[i].get<double>() > above && std::isfinite(list[i].get<double>());
        numbers[i] = good ? list[i].get<double>() : 0.0;
    }
    if (!good) {
        input.fault(key, expected);
    }
    return numbers;
}

void read_shape(const ObjectReader& reader, InputSpec& input) {
    reader.text("layout", {"NCHW"});  // the only one that ncnn has
    const json& shape = reader.at("shape");
    bool good = shape.is_array() && shape.size() == 4;
    std::array<std::int64_t, 4> sizes{};
    for (std::size_t i = 0; good && i < sizes.size(); ++i) {
        good = shape[i].is_number_integer() && shape[i].get<std::int64_t>() >= 1 &&
               shape[i].get<std::int64_t>() <= kMostSidePx;
        sizes[i] = good ? shape[i].get<std::int64_t>() : 0;
    }
    if (!good || sizes[0] != 1 || sizes[1] != 3) {
        reader.fault("shape", "one RGB picture, such as [1, 3, 256, 256]");
        return;
    }
    input.height_px = static_cast<int>(sizes[2]);
    input.width_px = static_cast<int>(sizes[3]);
}

InputSpec read_input(const ObjectReader& root) {
    const ObjectReader reader =
        root.object("input", {"name", "shape", "layout", "dtype", "color", "resize", "mean", "std", "quant"});
    InputSpec input;
    input.blob = reader.text("name");
    read_shape(reader, input);
    reader.text("dtype", {"float32"});
    reader.text("color", {"RGB"});
    reader.text("resize", {"pillow_bilinear"});
    input.mean =
        read_rgb_numbers(reader, "mean", -std::numeric_limits<double>::infinity(), "three numbers, R, G and B");
    input.std = read_rgb_numbers(reader, "std", 0.0, "three numbers above 0, R, G and B");
    if (!reader.is_null("quant")) {
        reader.fault("quant", "null for float32");
    }
    return input;
}

OutputSpec read_output(const ObjectReader& root) {
    const ObjectReader reader = root.object("output", {"name", "meaning", "threshold", "dtype", "quant"});
    OutputSpec output;
    output.blob = reader.text("name");
    reader.text("meaning", {"probability"});
    output.threshold = reader.number("threshold", 0.0, 1.0);
    reader.text("dtype", {"float32"});
    if (!reader.is_null("quant")) {
        reader.fault("quant", "null for float32");
    }
    return output;
}

// How the weights are stored is ncnn's business; here it is only checked. Returns the precision.
std::string read_precision(const ObjectReader& root) {
    const ObjectReader reader = root.object("quantization", {"precision", "weights", "activations", "calibration"});
    reader.text("weights");
    reader.text("activations");
    if (!reader.is_null("calibration")) {
        const ObjectReader calibration = reader.object("calibration", {"sha256", "count"});
        calibration.sha256("sha256");
        calibration.integer("count", 1, kMostBytes);
    }
    return reader.text("precision", {"fp32", "fp16", "int8"});
}

// A count from provenance, where anything may stand.
std::optional<std::int64_t> find_count(const ObjectReader& root, const char* key) {
    const json& provenance = root.at("provenance");
    const auto found = provenance.is_object() ? provenance.find(key) : provenance.end();
    if (found == provenance.end() || !found->is_number_integer() || found->get<std::int64_t>() < 0) {
        return std::nullopt;
    }
    return found->get<std::int64_t>();
}

ModelSpec read_spec(const json& value, Faults& faults) {
    const ObjectReader root(value, "",
                            {"schema_version", "name", "arch", "format", "files", "input", "output", "quantization",
                             "golden", "provenance", "metrics", "weights_license"},
                            faults);
    ModelSpec spec;
    spec.name = root.file_name("name");
    spec.arch = root.text("arch");
    if (root.at("format") != "ncnn") {
        root.fault("format", "\"ncnn\", the format that this program runs; export with export/to_ncnn.py");
        return spec;
    }
    const ObjectReader files = root.object("files", {"param", "bin"});
    spec.param = read_entry(files, "param");
    spec.bin = read_entry(files, "bin");
    spec.input = read_input(root);
    spec.output = read_output(root);
    spec.precision = read_precision(root);
    const ObjectReader golden = root.object("golden", {"input", "output", "atol"});
    spec.golden_input = golden.file_name("input");
    spec.golden_output = golden.file_name("output");
    golden.number("atol", 0.0, 1.0);
    root.free_object("provenance");
    root.free_object("metrics");
    spec.weights_license = root.text("weights_license");
    spec.macs = find_count(root, "macs");
    spec.parameters = find_count(root, "parameters");
    return spec;
}

Result<std::vector<std::uint8_t>> read_checked(const fs::path& path, const FileEntry& entry) {
    std::error_code code;
    const std::uintmax_t size_bytes = fs::file_size(path, code);
    if (code) {
        return Error{"got no " + path.string() + " (" + code.message() +
                     "), expected the file that model.json names; copy it, or export the artifact again"};
    }
    const std::string next = "; the file is damaged or foreign: copy or export it again";
    if (size_bytes != entry.size_bytes) {
        return Error{path.string() + ": got " + std::to_string(size_bytes) + " bytes, expected " +
                     std::to_string(entry.size_bytes) + next};
    }
    Result<std::vector<std::uint8_t>> bytes = read_file(path);
    if (!bytes) {
        return bytes;
    }
    const std::string digest = sha256_hex(bytes.value().data(), bytes.value().size());
    if (digest != entry.sha256) {
        return Error{path.string() + ": got sha256 " + digest + ", expected " + entry.sha256 + next};
    }
    return bytes;
}

}  // namespace

Result<ModelSpec> parse_model_spec(const std::string& text) {
    const Result<json> parsed = parse_json(text);
    if (!parsed) {
        return parsed.error();
    }
    const json& value = parsed.value();
    // First of all: another version has other keys, and saying so helps more than naming the first of them.
    const auto version = value.is_object() ? value.find("schema_version") : value.end();
    if (value.is_object() && version != value.end() && !(version->is_number_integer() && *version == kSchemaVersion)) {
        return Error{"got schema_version " + version->dump() + ", expected " + std::to_string(kSchemaVersion) +
                     "; use the release that wrote it, or export again"};
    }
    Faults faults;
    ModelSpec spec = read_spec(value, faults);
    if (faults.first()) {
        return *faults.first();
    }
    return spec;
}

Result<Artifact> read_artifact(const fs::path& folder) {
    const fs::path path = folder / "model.json";
    std::error_code code;
    if (!fs::is_regular_file(path, code)) {
        const std::string got = fs::is_directory(folder, code) ? "a folder without it" : "no such folder";
        return Error{"got " + folder.string() + " (" + got +
                     "), expected an artifact folder with model.json; make one with export/to_ncnn.py"};
    }
    const Result<std::vector<std::uint8_t>> text = read_file(path);
    if (!text) {
        return text.error();
    }
    const Result<ModelSpec> spec = parse_model_spec(std::string(text.value().begin(), text.value().end()));
    if (!spec) {
        return Error{path.string() + ": " + spec.error().message};
    }
    Result<std::vector<std::uint8_t>> param = read_checked(folder / spec.value().param.name, spec.value().param);
    if (!param) {
        return param.error();
    }
    Result<std::vector<std::uint8_t>> bin = read_checked(folder / spec.value().bin.name, spec.value().bin);
    if (!bin) {
        return bin.error();
    }
    for (const std::string& name : {spec.value().golden_input, spec.value().golden_output}) {
        if (!fs::is_regular_file(folder / name, code)) {
            return Error{"got no " + (folder / name).string() +
                         ", expected the golden file that model.json names; export the artifact again"};
        }
    }
    return Artifact{spec.value(), std::move(param.value()), std::move(bin.value())};
}

}  // namespace skyedge
