#include "skyedge/sky_segmenter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/block_pool.h"
#include "core/frame_input.h"
#include "core/net_check.h"
#include "core/pillow_resize.h"
#include "cpu.h"
#include "datareader.h"
#include "mat.h"
#include "net.h"
#include "platform.h"
#if NCNN_VULKAN
#include "gpu.h"
#endif

namespace skyedge {
namespace {

constexpr std::size_t kChannels = 3;
// A sigmoid may leave 0..1 by this much; more means that the output is no probability.
constexpr float kRangeSlack = 1e-3F;
// What half precision and GPUs may change in a probability of the golden pair; more is an error of a kernel or driver.
constexpr double kFastTolerance = 0.03;

Error ncnn_error(const ModelSpec& spec, const std::string& step, int code) {
    return Error{spec.name + ": ncnn gave code " + std::to_string(code) + " at " + step +
                     ", expected 0; export the artifact again with this release",
                 ErrorCode::kNetwork};
}

// Unless fp16 is asked for, weights that are stored as float16 are widened when they are loaded and all arithmetic is
// float32, as in edge_runtime/backends/ncnn_net.py: half precision differs from CPU to CPU by up to 2e-2. int8 layers
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

// Gives param and bin to `net`, and checks that they belong together and to the spec.
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

// (byte - mean) / std for every byte: a table in double is exact and quick.
using Normalized = std::array<std::array<float, 256>, kChannels>;

Normalized tabulate(const InputSpec& input) {
    Normalized table{};
    for (std::size_t c = 0; c < kChannels; ++c) {
        for (std::size_t byte = 0; byte < table[c].size(); ++byte) {
            table[c][byte] = static_cast<float>((static_cast<double>(byte) - input.mean[c]) / input.std[c]);
        }
    }
    return table;
}

// ncnn's three planes of float32, filled from pixels of `bytes` bytes.
struct Planes {
    float* red;
    float* green;
    float* blue;

    void fill(const std::uint8_t* pixel, std::size_t bytes, bool blue_first, const Normalized& table, int at,
              int count) const {
        const std::size_t first = blue_first ? 2 : 0;
        for (int i = at; i < at + count; ++i, pixel += bytes) {
            red[i] = table[0][pixel[first]];
            green[i] = table[1][pixel[1]];
            blue[i] = table[2][pixel[2 - first]];
        }
    }
};

// A row of four-byte pixels into row `y` of `image`.
void copy_rgb(const std::uint8_t* row, bool blue_first, int y, Image& image) {
    const auto width = static_cast<std::size_t>(image.width_px);
    const std::size_t red = blue_first ? 2 : 0;
    std::uint8_t* to = image.rgb.data() + static_cast<std::size_t>(y) * width * kChannels;
    for (std::size_t x = 0; x < width; ++x, row += 4, to += kChannels) {
        to[0] = row[red];
        to[1] = row[1];
        to[2] = row[2 - red];
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
    std::vector<std::string> notes;
    std::vector<std::uint8_t> bin;  // ncnn refers to weights in here, so it goes after the net
    Normalized table{};
    int input_index = 0;
    int output_index = 0;
    ncnn::Net net;
};

struct Workspace::Memory {
    // Kept alive, so that no other network can take its address while the extractor refers to it.
    std::shared_ptr<const SkySegmenter::Network> network;
    BlockPool pool;
    std::optional<ncnn::Extractor> extractor;
    FrameRows rows;
    RowResizer to_input;
    Probability small;
    ProbabilityResizer to_image;
};

Workspace::Workspace() noexcept = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;
Workspace::~Workspace() = default;

namespace {

// Runs `body`, which may throw where memory cannot be had.
template <class What, class Body>
auto guarded(const What& what, const Body& body) -> decltype(body()) {
    try {
        return body();
    } catch (const std::exception& error) {
        return Error{std::string("cannot ") + what + ": " + error.what(), ErrorCode::kMemory};
    }
}

Failure check_image(const Image& image) {
    const auto pixels = static_cast<std::size_t>(image.width_px) * static_cast<std::size_t>(image.height_px);
    if (image.width_px >= 1 && image.height_px >= 1 && image.rgb.size() == pixels * kChannels) {
        return std::nullopt;
    }
    return Error{"got " + std::to_string(image.rgb.size()) + " bytes for an image of " +
                 std::to_string(image.width_px) + " x " + std::to_string(image.height_px) +
                 " pixels, expected at least one pixel and three bytes for each"};
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
        Options used = options;
#if !NCNN_VULKAN
        if (used.vulkan) {
            used.vulkan = false;
            notes.push_back("vulkan: this library's ncnn was built without it, so the CPU is used");
        }
#else
        if (used.vulkan && ncnn::get_gpu_count() < 1) {
            used.vulkan = false;
            notes.push_back("vulkan: ncnn finds no GPU, so the CPU is used");
        }
#endif
        if (used.big_cores && ncnn::set_cpu_powersave(2) != 0) {
            notes.push_back("big_cores: this system does not let a process choose its cores, so all are used");
        }
        Result<SkySegmenter> opened = open(artifact, used);
        if (used.fp16 || used.vulkan) {
            const double tolerance = std::max(artifact.spec.golden_atol, kFastTolerance);
            const Failure failure = !opened           ? Failure(opened.error())
                                    : artifact.golden ? opened.value().self_test(*artifact.golden, tolerance)
                                                      : Error{"there is no golden pair to check it with"};
            if (failure) {
                notes.push_back(std::string(used.vulkan ? "vulkan" : "fp16") + ": " + failure->message +
                                "; float32 on the CPU is used instead");
                used.fp16 = used.vulkan = false;
                opened = open(artifact, used);
            }
        }
        if (opened && options.self_test) {
            const Failure failure = artifact.golden
                                        ? opened.value().self_test(*artifact.golden, artifact.spec.golden_atol)
                                        : Error{"got no golden pair for self_test", ErrorCode::kArtifact};
            if (failure) {
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

Failure SkySegmenter::self_test(const Golden& golden, double tolerance) const {
    Workspace workspace;
    Probability sky;
    if (Failure failure = infer(golden.input, workspace, sky)) {
        return failure;
    }
    double most = 0.0;
    for (std::size_t i = 0; i < sky.values.size(); ++i) {
        most = std::max(most, std::abs(static_cast<double>(sky.values[i]) - golden.output.values[i]));
    }
    if (most <= tolerance) {
        return std::nullopt;
    }
    return Error{spec().name + ": got a golden output that is " + std::to_string(most) + " off, expected at most " +
                     std::to_string(tolerance) + "; export the artifact again",
                 ErrorCode::kNetwork};
}

Failure SkySegmenter::segment(const Image& image, Workspace& workspace, Probability& sky) const {
    if (Failure failure = check_image(image)) {
        return failure;
    }
    return guarded("segment the image", [&]() -> Failure {
        const Result<Workspace::Memory*> prepared = prepare(workspace);
        if (!prepared) {
            return prepared.error();
        }
        Workspace::Memory& memory = *prepared.value();
        if (Failure failure = low_res(image, workspace, memory.small)) {
            return failure;
        }
        memory.to_image.resize(memory.small, image.width_px, image.height_px, sky);
        return std::nullopt;
    });
}

Failure SkySegmenter::segment(const FrameView& frame, Workspace& workspace, const MaskView& mask) const {
    if (Failure failure = check_mask(mask)) {
        return failure;
    }
    return guarded("segment the frame", [&]() -> Failure {
        const Result<Workspace::Memory*> prepared = prepare(workspace);
        if (!prepared) {
            return prepared.error();
        }
        Workspace::Memory& memory = *prepared.value();
        if (Failure failure = low_res(frame, workspace, memory.small)) {
            return failure;
        }
        memory.to_image.resize(memory.small, mask);
        return std::nullopt;
    });
}

Failure SkySegmenter::low_res(const Image& image, Workspace& workspace, Probability& sky) const {
    const Failure failure = check_image(image);
    return failure ? failure : low_res(view_of(image), workspace, sky);
}

Failure SkySegmenter::low_res(const FrameView& frame, Workspace& workspace, Probability& sky, Image* image) const {
    if (Failure failure = check_frame(frame)) {
        return failure;
    }
    return guarded("segment the frame", [&]() -> Failure {
        const Result<Workspace::Memory*> prepared = prepare(workspace);
        if (!prepared) {
            return prepared.error();
        }
        Workspace::Memory& memory = *prepared.value();
        const InputSpec& input = spec().input;
        const FrameSize size = upright_size(frame);
        memory.rows.open(frame);
        const bool blue_first = memory.rows.blue_first();
        if (image != nullptr) {
            image->width_px = input.width_px;
            image->height_px = input.height_px;
            image->rgb.resize(static_cast<std::size_t>(input.width_px) * static_cast<std::size_t>(input.height_px) * 3);
        }
        return run(memory, sky, [&](const Planes& planes) {
            memory.to_input.resize(memory.rows, size.width_px, size.height_px, input.width_px, input.height_px,
                                   [&](int y, const std::uint8_t* row) {
                                       planes.fill(row, 4, blue_first, network_->table, y * input.width_px,
                                                   input.width_px);
                                       if (image != nullptr) {
                                           copy_rgb(row, blue_first, y, *image);
                                       }
                                   });
        });
    });
}

Failure SkySegmenter::infer(const Image& image, Workspace& workspace, Probability& sky) const {
    if (Failure failure = check_image(image)) {
        return failure;
    }
    const InputSpec& input = spec().input;
    if (image.width_px != input.width_px || image.height_px != input.height_px) {
        return Error{"got an image of " + std::to_string(image.width_px) + " x " + std::to_string(image.height_px) +
                     " pixels, expected " + std::to_string(input.width_px) + " x " + std::to_string(input.height_px) +
                     "; resize it with PillowResizer, or call segment"};
    }
    return guarded("run the network", [&]() -> Failure {
        const Result<Workspace::Memory*> prepared = prepare(workspace);
        if (!prepared) {
            return prepared.error();
        }
        return run(*prepared.value(), sky, [&](const Planes& planes) {
            planes.fill(image.rgb.data(), kChannels, false, network_->table, 0, image.width_px * image.height_px);
        });
    });
}

Result<Probability> SkySegmenter::segment(const Image& image) const {
    Workspace workspace;
    Probability sky;
    if (const Failure failure = segment(image, workspace, sky)) {
        return *failure;
    }
    return sky;
}

// Makes the workspace ready for this network.
Result<Workspace::Memory*> SkySegmenter::prepare(Workspace& workspace) const {
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

// Runs the network on what `fill` writes into its input.
template <class Fill>
Failure SkySegmenter::run(Workspace::Memory& memory, Probability& sky, const Fill& fill) const {
    const Network& network = *network_;
    const InputSpec& input = network.spec.input;
    ncnn::Extractor& extractor = *memory.extractor;
    ncnn::Mat answer;
    {
        ncnn::Mat blob(input.width_px, input.height_px, static_cast<int>(kChannels), sizeof(float), &memory.pool);
        if (blob.empty()) {
            return Error{"cannot run the network: no memory for its input", ErrorCode::kMemory};
        }
        fill(Planes{blob.channel(0), blob.channel(1), blob.channel(2)});
        if (const int code = extractor.input(network.input_index, blob); code != 0) {
            return ncnn_error(network.spec, "input " + input.blob, code);
        }
    }
    if (const int code = extractor.extract(network.output_index, answer); code != 0) {
        memory.extractor.reset();  // it holds blobs of this run, which the next one must not take for its own
        return ncnn_error(network.spec, "output " + network.spec.output.blob, code);
    }
    // ncnn frees every blob once it is used, but keeps the answer and would give it again.
    extractor.input(network.output_index, ncnn::Mat());
    if (answer.w != input.width_px || answer.h != input.height_px || answer.d != 1 || answer.c != 1 ||
        answer.elemsize != sizeof(float)) {
        return Error{network.spec.name + ": got an output of " + std::to_string(answer.c) + " x " +
                         std::to_string(answer.h) + " x " + std::to_string(answer.w) +
                         ", expected one channel of float32 at the input's size; export it again",
                     ErrorCode::kNetwork};
    }
    sky.width_px = answer.w;
    sky.height_px = answer.h;
    sky.values.resize(static_cast<std::size_t>(answer.w) * static_cast<std::size_t>(answer.h));
    if (const std::optional<float> wrong = copy_probabilities(answer.channel(0), sky.values)) {
        return Error{network.spec.name + ": got network output " + std::to_string(*wrong) +
                         ", expected 0 to 1; export the artifact again",
                     ErrorCode::kNetwork};
    }
    return std::nullopt;
}

}  // namespace skyedge
