#include "skyedge/sky_segmenter.h"

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/block_pool.h"
#include "datareader.h"
#include "mat.h"
#include "net.h"
#include "core/net_check.h"

namespace skyedge {
namespace {

constexpr std::size_t kChannels = 3;
// A sigmoid may leave 0..1 by this much; more means that the output is no probability.
constexpr float kRangeSlack = 1e-3F;

Error ncnn_error(const ModelSpec& spec, const std::string& step, int code) {
    return Error{spec.name + ": ncnn gave code " + std::to_string(code) + " at " + step +
                 ", expected 0; export the artifact again with this release"};
}

// Weights that are stored as float16 are widened when they are loaded and all arithmetic is float32, as in
// edge_runtime/backends/ncnn_net.py: half precision differs from CPU to CPU by up to 2e-2. int8 layers compute in int8.
ncnn::Option same_everywhere(int threads) {
    ncnn::Option option;
    option.num_threads = threads;
    option.use_vulkan_compute = false;
    option.use_fp16_packed = false;
    option.use_fp16_storage = false;
    option.use_fp16_arithmetic = false;
    option.use_bf16_packed = false;
    option.use_bf16_storage = false;
    return option;
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
                 "' as model.json says; model and model.json are not of one artifact: export it again"};
}

// Gives `artifact`'s param and bin to `net`, and checks that they belong together and to the spec.
Failure fill_net(ncnn::Net& net, const Artifact& artifact) {
    const ModelSpec& spec = artifact.spec;
    if (const Failure failure = check_net(artifact.param, artifact.bin)) {
        return Error{spec.name + ": " + failure->message};
    }
    const unsigned char* param = artifact.param.data();
    const ncnn::DataReaderFromMemory param_reader(param, artifact.param.size());
    if (const int code = net.load_param(param_reader); code != 0) {
        return ncnn_error(spec, "loading " + spec.param.name, code);
    }
    const unsigned char* bin = artifact.bin.data();
    const ncnn::DataReaderFromMemory bin_reader(bin, artifact.bin.size());
    if (const int code = net.load_model(bin_reader); code != 0) {
        return ncnn_error(spec, "loading " + spec.bin.name, code);
    }
    if (Failure failure = check_blob(spec, net.input_names(), spec.input.blob, "input.name")) {
        return failure;
    }
    return check_blob(spec, net.output_names(), spec.output.blob, "output.name");
}

// (byte - mean) / std for every byte: a table in double is exact and quick.
using Normalised = std::array<std::array<float, 256>, kChannels>;

Normalised tabulate(const InputSpec& input) {
    Normalised table{};
    for (std::size_t c = 0; c < kChannels; ++c) {
        for (std::size_t byte = 0; byte < table[c].size(); ++byte) {
            table[c][byte] = static_cast<float>((static_cast<double>(byte) - input.mean[c]) / input.std[c]);
        }
    }
    return table;
}

// Fills ncnn's three planes of float32.
void fill_blob(const Image& image, const Normalised& table, ncnn::Mat& blob) {
    float* red = blob.channel(0);
    float* green = blob.channel(1);
    float* blue = blob.channel(2);
    const std::uint8_t* pixel = image.rgb.data();
    for (int i = 0; i < image.width_px * image.height_px; ++i, pixel += kChannels) {
        red[i] = table[0][pixel[0]];
        green[i] = table[1][pixel[1]];
        blue[i] = table[2][pixel[2]];
    }
}

// Copies the network's answer into 0..1. Returns the first value that is no probability, else nothing.
std::optional<float> copy_probabilities(const float* values, std::vector<float>& out) {
    float low = 0.0F;
    float high = 1.0F;
    bool numbers = true;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const float p = values[i];
        numbers &= p == p;
        low = p < low ? p : low;
        high = p > high ? p : high;
        out[i] = std::clamp(p, 0.0F, 1.0F);
    }
    if (numbers && low >= -kRangeSlack && high <= 1.0F + kRangeSlack) {
        return std::nullopt;
    }
    return *std::find_if(values, values + out.size(),
                         [](float p) { return !(p >= -kRangeSlack && p <= 1.0F + kRangeSlack); });
}

}  // namespace

// What `load` makes and nothing changes.
struct SkySegmenter::Network {
    ModelSpec spec;
    std::vector<std::uint8_t> bin;  // ncnn refers to weights in here, so it goes after the net
    Normalised table{};
    int input_index = 0;
    int output_index = 0;
    ncnn::Net net;
};

struct Workspace::Memory {
    // Kept alive, so that no other network can take its address while the extractor refers to it.
    std::shared_ptr<const SkySegmenter::Network> network;
    BlockPool pool;
    std::optional<ncnn::Extractor> extractor;
    PillowResizer to_input;
    Image resized;
    Probability small;
    ProbabilityResizer to_picture;
};

Workspace::Workspace() noexcept = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;
Workspace::~Workspace() = default;

SkySegmenter::SkySegmenter(std::shared_ptr<const Network> network) : network_(std::move(network)) {}

const ModelSpec& SkySegmenter::spec() const { return network_->spec; }

Result<SkySegmenter> SkySegmenter::load(const std::filesystem::path& folder, int threads) {
    try {
        Result<Artifact> artifact = read_artifact(folder);
        return artifact ? from_artifact(std::move(artifact.value()), threads) : artifact.error();
    } catch (const std::exception& error) {  // memory that cannot be had
        return Error{"cannot load " + folder.string() + ": " + error.what()};
    }
}

Result<SkySegmenter> SkySegmenter::from_artifact(Artifact artifact, int threads) {
    if (threads < 1 || threads > kMostThreads) {
        return Error{"got " + std::to_string(threads) + " threads, expected 1 to " + std::to_string(kMostThreads)};
    }
    try {
        auto network = std::make_shared<Network>();
        network->net.opt = same_everywhere(threads);
        if (const Failure failure = fill_net(network->net, artifact)) {
            return *failure;
        }
        network->input_index = network->net.input_indexes().front();
        network->output_index = network->net.output_indexes().front();
        network->spec = std::move(artifact.spec);
        network->bin = std::move(artifact.bin);
        network->table = tabulate(network->spec.input);
        return SkySegmenter(std::move(network));
    } catch (const std::exception& error) {
        return Error{"cannot load " + artifact.spec.name + ": " + error.what()};
    }
}

Failure SkySegmenter::segment(const Image& image, Workspace& workspace, Probability& sky) const {
    try {
        const Result<Workspace::Memory*> prepared = prepare(image, workspace);
        if (!prepared) {
            return prepared.error();
        }
        Workspace::Memory& memory = *prepared.value();
        if (Failure failure = run_resized(image, memory, memory.small)) {
            return failure;
        }
        memory.to_picture.resize(memory.small, image.width_px, image.height_px, sky);
        return std::nullopt;
    } catch (const std::exception& error) {  // memory that cannot be had
        return Error{std::string("cannot segment the picture: ") + error.what()};
    }
}

Failure SkySegmenter::coarse(const Image& image, Workspace& workspace, Probability& sky) const {
    try {
        const Result<Workspace::Memory*> prepared = prepare(image, workspace);
        return prepared ? run_resized(image, *prepared.value(), sky) : prepared.error();
    } catch (const std::exception& error) {  // memory that cannot be had
        return Error{std::string("cannot segment the picture: ") + error.what()};
    }
}

Failure SkySegmenter::infer(const Image& image, Workspace& workspace, Probability& sky) const {
    try {
        const Result<Workspace::Memory*> prepared = prepare(image, workspace);
        if (!prepared) {
            return prepared.error();
        }
        const InputSpec& input = spec().input;
        if (image.width_px != input.width_px || image.height_px != input.height_px) {
            return Error{"got a picture of " + std::to_string(image.width_px) + " x " +
                         std::to_string(image.height_px) + " pixels, expected " + std::to_string(input.width_px) +
                         " x " + std::to_string(input.height_px) + "; resize it with PillowResizer, or call segment"};
        }
        return run(image, *prepared.value(), sky);
    } catch (const std::exception& error) {  // memory that cannot be had
        return Error{std::string("cannot run the network: ") + error.what()};
    }
}

Result<Probability> SkySegmenter::segment(const Image& image) const {
    Workspace workspace;
    Probability sky;
    if (const Failure failure = segment(image, workspace, sky)) {
        return *failure;
    }
    return sky;
}

// Refuses what is no picture, and makes the workspace ready for this network.
Result<Workspace::Memory*> SkySegmenter::prepare(const Image& image, Workspace& workspace) const {
    const auto pixels = static_cast<std::size_t>(image.width_px) * static_cast<std::size_t>(image.height_px);
    if (image.width_px < 1 || image.height_px < 1 || image.rgb.size() != pixels * kChannels) {
        return Error{"got " + std::to_string(image.rgb.size()) + " bytes for a picture of " +
                     std::to_string(image.width_px) + " x " + std::to_string(image.height_px) +
                     " pixels, expected at least one pixel and three bytes for each"};
    }
    if (workspace.memory_ == nullptr || workspace.memory_->network != network_) {
        workspace.memory_.reset();  // before the new one takes memory
        workspace.memory_ = std::make_unique<Workspace::Memory>();
        workspace.memory_->network = network_;
    }
    Workspace::Memory& memory = *workspace.memory_;
    if (!memory.extractor) {
        memory.extractor.emplace(network_->net.create_extractor());
        memory.extractor->set_blob_allocator(&memory.pool);
        memory.extractor->set_workspace_allocator(&memory.pool);
    }
    return &memory;
}

Failure SkySegmenter::run_resized(const Image& image, Workspace::Memory& memory, Probability& sky) const {
    memory.to_input.resize(image, spec().input.width_px, spec().input.height_px, memory.resized);
    return run(memory.resized, memory, sky);
}

Failure SkySegmenter::run(const Image& resized, Workspace::Memory& memory, Probability& sky) const {
    const Network& network = *network_;
    ncnn::Extractor& extractor = *memory.extractor;
    ncnn::Mat answer;
    {
        ncnn::Mat blob(resized.width_px, resized.height_px, static_cast<int>(kChannels), sizeof(float), &memory.pool);
        if (blob.empty()) {
            return Error{"cannot run the network: no memory for its input"};
        }
        fill_blob(resized, network.table, blob);
        if (const int code = extractor.input(network.input_index, blob); code != 0) {
            return ncnn_error(network.spec, "input " + network.spec.input.blob, code);
        }
    }
    if (const int code = extractor.extract(network.output_index, answer); code != 0) {
        memory.extractor.reset();  // it holds blobs of this run, which the next one must not take for its own
        return ncnn_error(network.spec, "output " + network.spec.output.blob, code);
    }
    // ncnn frees every blob once it is used, but keeps the answer and would give it again.
    extractor.input(network.output_index, ncnn::Mat());
    if (answer.w != resized.width_px || answer.h != resized.height_px || answer.d != 1 || answer.c != 1 ||
        answer.elemsize != sizeof(float)) {
        return Error{network.spec.name + ": got an output of " + std::to_string(answer.c) + " x " +
                     std::to_string(answer.h) + " x " + std::to_string(answer.w) +
                     ", expected one channel of float32 at the input's size; export it again"};
    }
    sky.width_px = answer.w;
    sky.height_px = answer.h;
    sky.values.resize(static_cast<std::size_t>(answer.w) * static_cast<std::size_t>(answer.h));
    if (const std::optional<float> wrong = copy_probabilities(answer.channel(0), sky.values)) {
        return Error{network.spec.name + ": got network output " + std::to_string(*wrong) +
                     ", expected 0 to 1; export the artifact again"};
    }
    return std::nullopt;
}

}  // namespace skyedge
