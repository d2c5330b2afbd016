#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/network/loaded_network.h"
#include "core/network/net_check.h"
#include "cpu.h"
#include "datareader.h"
#include "net.h"
#include "platform.h"
#include "skyedge/sky_segmenter.h"
#if NCNN_VULKAN
#include "gpu.h"
#endif

namespace skyedge {
namespace {

// The largest error of half precision and GPUs on the golden pair; a larger one is a fault of a kernel or driver.
constexpr double kFastTolerance = 0.03;

// Without the option fp16, float16 weights become float32 at loading and all arithmetic is float32, as in
// edge_runtime/backends/ncnn_net.py, because results in half precision differ between CPUs by up to 2e-2. int8 layers
// compute in int8.
ncnn::Option to_ncnn(const Options& options) {
    ncnn::Option option;
    option.num_threads = options.threads;
    option.use_vulkan_compute = options.vulkan;
    option.use_fp16_packed = options.fp16;
    option.use_fp16_storage = options.fp16;
    option.use_fp16_arithmetic = options.fp16;
    option.use_bf16_packed = false;
    option.use_bf16_storage = false;
    return option;
}

bool has_gpu() {
#if NCNN_VULKAN
    return ncnn::get_gpu_count() > 0;
#else
    return false;
#endif
}

// Turns off options that this machine does not support, and adds a note for each.
Options keep_available(Options options, std::vector<std::string>& notes) {
    if (options.vulkan && !has_gpu()) {
        options.vulkan = false;
        notes.emplace_back(NCNN_VULKAN ? "vulkan: ncnn finds no GPU, so the CPU is used"
                                       : "vulkan: this library's ncnn was built without it, so the CPU is used");
    }
    if (options.big_cores && ncnn::set_cpu_powersave(2) != 0) {
        notes.emplace_back("big_cores: this system does not let a process choose its cores, so all are used");
    }
    return options;
}

Failure check_blob(const ModelSpec& spec, const std::vector<const char*>& blobs, const std::string& wanted,
                   const char* key) {
    if (blobs.size() == 1 && wanted == blobs.front()) {
        return std::nullopt;
    }
    std::string found;
    for (const char* blob : blobs) {
        found += (found.empty() ? "'" : ", '") + std::string(blob) + "'";
    }
    return Error{spec.name + ": the model's blobs for " + key + " are " + found + ", expected only '" + wanted +
                     "' as model.json says; model and model.json are not of one artifact: export it again",
                 ErrorCode::kArtifact};
}

// Loads param and bin into `net`, and checks that they match each other and the spec.
Failure fill_net(ncnn::Net& net, const ModelSpec& spec, const std::vector<std::uint8_t>& param,
                 const std::vector<std::uint8_t>& bin) {
    if (const Failure failure = check_net(param, bin, spec.input.height_px, spec.input.width_px)) {
        return Error{spec.name + ": " + failure->message, ErrorCode::kArtifact};
    }
    const unsigned char* text = param.data();
    const ncnn::DataReaderFromMemory param_reader(text, param.size());
    if (const int code = net.load_param(param_reader); code != 0) {
        return ncnn_error(spec, "loading " + spec.param.name, code);
    }
    const unsigned char* weights = bin.data();
    const ncnn::DataReaderFromMemory bin_reader(weights, bin.size());
    if (const int code = net.load_model(bin_reader); code != 0) {
        return ncnn_error(spec, "loading " + spec.bin.name, code);
    }
    if (Failure failure = check_blob(spec, net.input_names(), spec.input.blob, "input.name")) {
        return failure;
    }
    return check_blob(spec, net.output_names(), spec.output.blob, "output.name");
}

Normalized tabulate(const InputSpec& input) {
    Normalized table{};
    for (std::size_t c = 0; c < kChannels; ++c) {
        for (std::size_t byte = 0; byte < table[c].size(); ++byte) {
            table[c][byte] = static_cast<float>((static_cast<double>(byte) - input.mean[c]) / input.std[c]);
        }
    }
    return table;
}

}  // namespace

SkySegmenter::SkySegmenter(std::shared_ptr<const Network> network) : network_(std::move(network)) {}

const ModelSpec& SkySegmenter::spec() const { return network_->spec; }

const std::vector<std::string>& SkySegmenter::notes() const { return network_->notes; }

Result<SkySegmenter> SkySegmenter::load(const std::filesystem::path& folder, const Options& options) {
    return guarded("load " + folder.string(), [&]() -> Result<SkySegmenter> {
        const bool fast = options.fp16 || options.vulkan;
        Result<Artifact> artifact = read_artifact(folder, options.self_test || fast);
        if (!artifact && fast && !options.self_test) {  // the golden pair may be all that is missing
            artifact = read_artifact(folder);
        }
        return artifact ? from_artifact(std::move(artifact.value()), options) : artifact.error();
    });
}

Result<SkySegmenter> SkySegmenter::from_artifact(Artifact artifact, const Options& options) {
    if (options.threads < 1 || options.threads > kMostThreads) {
        return Error{"got " + std::to_string(options.threads) + " threads, expected 1 to " +
                     std::to_string(kMostThreads)};
    }
    return guarded("load " + artifact.spec.name, [&]() -> Result<SkySegmenter> {
        std::vector<std::string> notes;
        Options used = keep_available(options, notes);
        Result<SkySegmenter> opened = open(artifact, used);
        if (used.fp16 || used.vulkan) {
            const double tolerance = std::max(artifact.spec.golden_atol, kFastTolerance);
            const Failure failure =
                opened ? opened.value().self_test(artifact.golden, tolerance) : Failure(opened.error());
            if (failure) {
                notes.push_back(std::string(used.vulkan ? "vulkan" : "fp16") + ": " + failure->message +
                                "; float32 on the CPU is used instead");
                used.fp16 = used.vulkan = false;
                opened = open(artifact, used);
            }
        }
        if (opened && options.self_test) {
            if (const Failure failure = opened.value().self_test(artifact.golden, artifact.spec.golden_atol)) {
                return *failure;
            }
        }
        if (opened && !notes.empty()) {
            std::const_pointer_cast<Network>(opened.value().network_)->notes = std::move(notes);
        }
        return opened;
    });
}

Result<SkySegmenter> SkySegmenter::open(const Artifact& artifact, const Options& options) {
    auto network = std::make_shared<Network>();
    network->net.opt = to_ncnn(options);
    network->bin = artifact.bin;
    if (const Failure failure = fill_net(network->net, artifact.spec, artifact.param, network->bin)) {
        return *failure;
    }
    network->input_index = network->net.input_indexes().front();
    network->output_index = network->net.output_indexes().front();
    network->spec = artifact.spec;
    network->table = tabulate(network->spec.input);
    return SkySegmenter(std::move(network));
}

Failure SkySegmenter::self_test(const std::optional<Golden>& golden, double tolerance) const {
    if (!golden) {
        return Error{"got no golden pair to check " + spec().name + " with, expected " + spec().golden_input + " and " +
                         spec().golden_output + "; give them too, or export the artifact again",
                     ErrorCode::kArtifact};
    }
    Workspace workspace;
    Probability sky;
    if (Failure failure = infer(golden->input, workspace, sky)) {
        return failure;
    }
    double most = 0.0;
    for (std::size_t i = 0; i < sky.values.size(); ++i) {
        most = std::max(most, std::abs(static_cast<double>(sky.values[i]) - golden->output.values[i]));
    }
    if (most <= tolerance) {
        return std::nullopt;
    }
    return Error{spec().name + ": got a golden output that is " + std::to_string(most) + " off, expected at most " +
                     std::to_string(tolerance) + "; export the artifact again",
                 ErrorCode::kNetwork};
}

}  // namespace skyedge
