#include "skyedge/model_spec.h"

#include <cstring>
#include <limits>
#include <utility>

#include "core/artifact/files.h"
#include "core/artifact/json_reader.h"
#include "core/artifact/sha256.h"

namespace skyedge {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSchemaVersion = 1;
constexpr std::int64_t kMostCount = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMostModelBytes = std::int64_t{1} << 30;  // of .param or .bin
constexpr std::uint64_t kMostSpecBytes = 1U << 24U;
constexpr std::uint64_t kMostNpyHeader = 4096;
constexpr std::int64_t kMostSidePx = 1 << 14;  // far above any of our networks; keeps sizes within an int

FileEntry read_entry(const ObjectReader& files, const char* role) {
    const ObjectReader entry = files.object(role, {"path", "sha256", "bytes"});
    return {entry.file_name("path"), entry.sha256("sha256"),
            static_cast<std::uint64_t>(entry.integer("bytes", 1, kMostModelBytes))};
}

// Reads three numbers from `least` to 255.
std::array<double, 3> read_rgb_numbers(const ObjectReader& input, const char* key, double least, const char* expected) {
    std::array<double, 3> numbers{};
    const Json& list = input.at(key);
    bool good = list.is_array() && list.size() == numbers.size();
    for (std::size_t i = 0; good && i < numbers.size(); ++i) {
        numbers[i] = list[i].is_number() ? list[i].get<double>() : -1.0;
        good = numbers[i] >= least && numbers[i] <= 255.0;
    }
    if (!good) {
        input.fault(key, expected);
    }
    return numbers;
}

void read_shape(const ObjectReader& reader, InputSpec& input) {
    reader.text("layout", {"NCHW"});  // the only one that ncnn has
    const Json& shape = reader.at("shape");
    bool good = shape.is_array() && shape.size() == 4;
    std::array<std::int64_t, 4> sizes{};
    for (std::size_t i = 0; good && i < sizes.size(); ++i) {
        sizes[i] = whole_number(shape[i]).value_or(0);
        good = sizes[i] >= 1 && sizes[i] <= kMostSidePx;
    }
    if (!good || sizes[0] != 1 || sizes[1] != 3) {
        reader.fault("shape", "one RGB image, such as [1, 3, 256, 256]");
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
    // Bounds of 8-bit images: numbers of the 0 to 1 scale and typing errors would run and give wrong masks.
    input.mean = read_rgb_numbers(reader, "mean", 0.0, "three numbers of 8-bit images, 0 to 255");
    input.std = read_rgb_numbers(reader, "std", 1.0, "three numbers of 8-bit images, 1 to 255");
    if (!reader.at("quant").is_null()) {
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
    if (!reader.at("quant").is_null()) {
        reader.fault("quant", "null for float32");
    }
    return output;
}

// Checks the quantization object, which ncnn does not need. Returns the precision.
std::string read_precision(const ObjectReader& root) {
    const ObjectReader reader = root.object("quantization", {"precision", "weights", "activations", "calibration"});
    reader.text("weights");
    reader.text("activations");
    if (!reader.at("calibration").is_null()) {
        const ObjectReader calibration = reader.object("calibration", {"sha256", "count"});
        calibration.sha256("sha256");
        calibration.integer("count", 1, kMostCount);
    }
    return reader.text("precision", {"fp32", "fp16", "int8"});
}

// Reads a count from provenance, which may hold anything.
std::optional<std::int64_t> find_count(const ObjectReader& root, const char* key) {
    const Json& provenance = root.at("provenance");
    const auto found = provenance.find(key);
    const auto count = found == provenance.end() ? std::nullopt : whole_number(*found);
    return count.value_or(-1) >= 0 ? count : std::nullopt;
}

ModelSpec read_spec(const Json& value) {
    const ObjectReader root(value, "",
                            {"schema_version", "name", "arch", "format", "files", "input", "output", "quantization",
                             "golden", "provenance", "metrics", "weights_license"});
    ModelSpec spec;
    spec.name = root.file_name("name");
    spec.arch = root.text("arch");
    if (root.at("format") != "ncnn") {
        root.fault("format", "\"ncnn\", the format that this program runs; export with export/to_ncnn.py");
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
    spec.golden_atol = golden.number("atol", 0.0, 1.0);
    root.free_object("provenance");
    root.free_object("metrics");
    spec.weights_license = root.text("weights_license");
    spec.macs = find_count(root, "macs");
    spec.parameters = find_count(root, "parameters");
    return spec;
}

Error damaged(const std::string& message) { return Error{message, ErrorCode::kArtifact}; }

// Refuses a symbolic link that leads out of the folder.
bool is_inside(const fs::path& path, const fs::path& folder) {
    std::error_code code;
    const fs::path real = fs::canonical(path, code);
    const fs::path home = code ? fs::path() : fs::canonical(folder, code);
    return !code && real.parent_path() == home && fs::is_regular_file(real, code);
}

Result<std::vector<std::uint8_t>> read_checked(const fs::path& folder, const FileEntry& entry) {
    const fs::path path = folder / entry.name;
    std::error_code code;
    const std::uintmax_t size_bytes = fs::file_size(path, code);
    if (code) {
        return damaged("got no " + path.string() + " (" + code.message() +
                       "), expected the file that model.json names; copy it, or export the artifact again");
    }
    if (!is_inside(path, folder)) {
        return damaged("got " + path.string() + ", which is no regular file of the artifact's folder; copy it there");
    }
    const std::string next = "; the file is damaged or foreign: copy or export it again";
    if (size_bytes != entry.size_bytes) {
        return damaged(path.string() + ": got " + std::to_string(size_bytes) + " bytes, expected " +
                       std::to_string(entry.size_bytes) + next);
    }
    Result<std::vector<std::uint8_t>> bytes = read_file(path, entry.size_bytes);
    if (!bytes) {
        return bytes;
    }
    const std::string digest = sha256_hex(bytes.value().data(), bytes.value().size());
    if (digest != entry.sha256) {
        return damaged(path.string() + ": got sha256 " + digest + ", expected " + entry.sha256 + next);
    }
    return bytes;
}

// Cuts the header off a .npy file, which must have exactly `shape` and `dtype`; these alone decide the size of the data.
Failure strip_npy(std::vector<std::uint8_t>& bytes, const std::string& name, const std::string& dtype, const std::string& shape,
                  std::uint64_t body_bytes) {
    const std::string head(bytes.begin(), bytes.size() < body_bytes
                                              ? bytes.begin()
                                              : bytes.end() - static_cast<std::ptrdiff_t>(body_bytes));
    const bool good = head.compare(0, 6, "\x93NUMPY") == 0 && head.size() >= 10 &&
                      head.size() == 10 + static_cast<unsigned char>(head[8]) +
                                         256U * static_cast<unsigned char>(head[9]) &&
                      head.find("'descr': '" + dtype + "'") != std::string::npos &&
                      head.find("'fortran_order': False") != std::string::npos &&
                      head.find("'shape': (" + shape + ")") != std::string::npos;
    if (!good) {
        return damaged(name + ": expected a .npy file of " + dtype + " and shape (" + shape +
                       "), got another; export the artifact again");
    }
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(head.size()));
    return std::nullopt;
}

std::uint64_t pixels_of(const InputSpec& input) {
    return static_cast<std::uint64_t>(input.width_px) * static_cast<std::uint64_t>(input.height_px);
}

// Reads a golden file, at most `body_bytes` and a header long.
Result<std::vector<std::uint8_t>> read_golden(const fs::path& folder, const std::string& name, std::uint64_t body_bytes) {
    const fs::path path = folder / name;
    if (!is_inside(path, folder)) {
        return damaged("got no " + path.string() + ", expected the golden file that model.json names; export again");
    }
    Result<std::vector<std::uint8_t>> file = read_file(path, body_bytes + kMostNpyHeader);
    return file ? file : damaged(file.error().message);
}

}  // namespace

Result<ModelSpec> parse_model_spec(const std::string& text) {
    const Result<Json> parsed = parse_json(text);
    if (!parsed) {
        return parsed.error();
    }
    const Json& value = parsed.value();
    // Checked first: a file of another version has other keys, and the version is the better message.
    const auto version = value.find("schema_version");
    if (version != value.end() && whole_number(*version) != kSchemaVersion) {
        return Error{"got schema_version " + shown(*version) + ", expected " + std::to_string(kSchemaVersion) +
                         "; use the release that wrote it, or export again",
                     ErrorCode::kArtifact};
    }
    try {
        return read_spec(value);
    } catch (const SpecFault& fault) {
        return damaged(fault.what());
    }
}

Result<Golden> parse_golden(const ModelSpec& spec, std::vector<std::uint8_t> input, std::vector<std::uint8_t> output) {
    const int width = spec.input.width_px, height = spec.input.height_px;
    const std::string shape = std::to_string(height) + ", " + std::to_string(width);
    const std::uint64_t pixels = pixels_of(spec.input);
    if (const Failure failure = strip_npy(input, spec.golden_input, "|u1", shape + ", 3", pixels * 3)) {
        return *failure;
    }
    if (const Failure failure = strip_npy(output, spec.golden_output, "<f4", shape, pixels * sizeof(float))) {
        return *failure;
    }
    Golden golden{{width, height, std::move(input)}, {width, height, std::vector<float>(static_cast<std::size_t>(pixels))}};
    std::memcpy(golden.output.values.data(), output.data(), output.size());
    return golden;
}

Result<Artifact> read_artifact(const fs::path& folder, bool with_golden) {
    const fs::path path = folder / "model.json";
    std::error_code code;
    if (!fs::is_regular_file(path, code)) {
        const std::string got = fs::is_directory(folder, code) ? "a folder without it" : "no such folder";
        return damaged("got " + folder.string() + " (" + got +
                       "), expected an artifact folder with model.json; make one with export/to_ncnn.py");
    }
    const Result<std::vector<std::uint8_t>> text = read_file(path, kMostSpecBytes);
    if (!text) {
        return text.error();
    }
    const Result<ModelSpec> parsed = parse_model_spec(std::string(text.value().begin(), text.value().end()));
    if (!parsed) {
        return damaged(path.string() + ": " + parsed.error().message);
    }
    const ModelSpec& spec = parsed.value();
    Artifact artifact{spec, {}, {}, {}};
    for (const auto& [entry, bytes] : {std::pair(&spec.param, &artifact.param), std::pair(&spec.bin, &artifact.bin)}) {
        Result<std::vector<std::uint8_t>> read = read_checked(folder, *entry);
        if (!read) {
            return read.error();
        }
        *bytes = std::move(read.value());
    }
    if (!with_golden) {
        return artifact;
    }
    const Result<std::vector<std::uint8_t>> input = read_golden(folder, spec.golden_input, pixels_of(spec.input) * 3);
    if (!input) {
        return input.error();
    }
    const Result<std::vector<std::uint8_t>> output =
        read_golden(folder, spec.golden_output, pixels_of(spec.input) * sizeof(float));
    if (!output) {
        return output.error();
    }
    const Result<Golden> golden = parse_golden(spec, input.value(), output.value());
    if (!golden) {
        return golden.error();
    }
    artifact.golden = golden.value();
    return artifact;
}

}  // namespace skyedge
