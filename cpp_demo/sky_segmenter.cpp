#include "sky_segmenter.h"

#include <algorithm>
#include <array>
#include <exception>
#include <string>
#include <utility>

#include "datareader.h"
#include "mat.h"
#include "net.h"

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
    // ncnn does not mind weights that are left over; they mean that bin and param are of two networks.
    const auto left_bytes = artifact.bin.data() + artifact.bin.size() - bin;
    if (left_bytes != 0) {
        return Error{spec.name + ": got " + std::to_string(left_bytes) + " bytes in " + spec.bin.name +
                     " beyond what " + spec.param.name + " describes, expected 0; export the artifact again"};
    }
    if (Failure failure = check_blob(spec, net.input_names(), spec.input.blob, "input.name")) {
        return failure;
    }
    return check_blob(spec, net.output_names(), spec.output.blob, "output.name");
}

// (pixel - mean) / std as ncnn's planar float32.
ncnn::Mat to_blob(const Image& image, const InputSpec& input) {
    ncnn::Mat blob(image.width_px, image.height_px, static_cast<int>(kChannels));
    if (blob.empty()) {
        return blob;
    }
    for (std::size_t c = 0; c < kChannels; ++c) {
        std::array<float, 256> normalised{};  // a byte has 256 values, so a table in double is exact and quick
        for (std::size_t byte = 0; byte < normalised.size(); ++byte) {
            normalised[byte] = static_cast<float>((static_cast<double>(byte) - input.mean[c]) / input.std[c]);
        }
        const std::uint8_t* pixel = image.rgb.data() + c;
        float* plane = blob.channel(static_cast<int>(c));
        for (int i = 0; i < image.width_px * image.height_px; ++i, pixel += kChannels) {
            plane[i] = normalised[*pixel];
        }
    }
    return blob;
}

}  // namespace

SkySegmenter::SkySegmenter(Artifact artifact, std::unique_ptr<ncnn::Net> net)
    : spec_(std::move(artifact.spec)), bin_(std::move(artifact.bin)), net_(std::move(net)) {}
SkySegmenter::SkySegmenter(SkySegmenter&&) noexcept = default;
SkySegmenter& SkySegmenter::operator=(SkySegmenter&& other) noexcept {
    net_ = std::move(other.net_);  // first, since the old net refers to the old weights
    bin_ = std::move(other.bin_);
    spec_ = std::move(other.spec_);
    return *this;
}
SkySegmenter::~SkySegmenter() = default;

Result<SkySegmenter> SkySegmenter::load(const std::filesystem::path& folder, int threads) {
    if (threads < 1 || threads > kMostThreads) {
        return Error{"got " + std::to_string(threads) + " threads, expected 1 to " + std::to_string(kMostThreads)};
    }
    try {
        Result<Artifact> artifact = read_artifact(folder);
        if (!artifact) {
            return artifact.error();
        }
        auto net = std::make_unique<ncnn::Net>();
        net->opt = same_everywhere(threads);
        if (const Failure failure = fill_net(*net, artifact.value())) {
            return *failure;
        }
        return SkySegmenter(std::move(artifact.value()), std::move(net));
    } catch (const std::exception& error) {  // memory that cannot be had
        return Error{"cannot load " + folder.string() + ": " + error.what()};
    }
}

Result<Probability> SkySegmenter::segment(const Image& image) const {
    const auto pixels = static_cast<std::size_t>(image.width_px) * static_cast<std::size_t>(image.height_px);
    if (image.width_px < 1 || image.height_px < 1 || image.rgb.size() != pixels * kChannels) {
        return Error{"got " + std::to_string(image.rgb.size()) + " bytes for a picture of " +
                     std::to_string(image.width_px) + " x " + std::to_string(image.height_px) +
                     " pixels, expected at least one pixel and three bytes for each"};
    }
    try {
        const Result<Probability> small =
            run(resize_pillow_bilinear(image, spec_.input.width_px, spec_.input.height_px));
        if (!small) {
            return small;
        }
        return resize_probability(small.value(), image.width_px, image.height_px);
    } catch (const std::exception& error) {  // memory that cannot be had
        return Error{std::string("cannot segment the picture: ") + error.what()};
    }
}

Result<Probability> SkySegmenter::run(const Image& resized) const {
    const ncnn::Mat blob = to_blob(resized, spec_.input);
    ncnn::Extractor extractor = net_->create_extractor();
    if (const int code = extractor.input(spec_.input.blob.c_str(), blob); code != 0) {
        return ncnn_error(spec_, "input " + spec_.input.blob, code);
    }
    ncnn::Mat sky;
    if (const int code = extractor.extract(spec_.output.blob.c_str(), sky); code != 0) {
        return ncnn_error(spec_, "output " + spec_.output.blob, code);
    }
    if (sky.w != resized.width_px || sky.h != resized.height_px || sky.d != 1 || sky.c != 1 ||
        sky.elemsize != sizeof(float)) {
        return Error{spec_.name + ": got an output of " + std::to_string(sky.c) + " x " + std::to_string(sky.h) +
                     " x " + std::to_string(sky.w) +
                     ", expected one channel of float32 at the input's size; export it again"};
    }
    Probability small{sky.w, sky.h, {}};
    const float* values = sky.channel(0);
    small.values.assign(values, values + static_cast<std::ptrdiff_t>(sky.w) * sky.h);
    for (float& p : small.values) {
        if (!(p >= -kRangeSlack && p <= 1.0F + kRangeSlack)) {  // true for NaN as well
            return Error{spec_.name + ": got network output " + std::to_string(p) +
                         ", expected 0 to 1; export the artifact again"};
        }
        p = std::clamp(p, 0.0F, 1.0F);
    }
    return small;
}

}  // namespace skyedge
