#include "core/network/net_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <locale>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

#include "core/network/net_shapes.h"

namespace skyedge {
namespace {

constexpr std::string_view kMagic = "7767517";
constexpr const char* kAgain = "; export the artifact again";
constexpr const char* kDepthwise = "ConvolutionDepthWise";
constexpr std::size_t kMostLayers = 4096;
constexpr std::size_t kMostBlobsOfLayer = 64;
constexpr std::size_t kMostWord = 255;  // ncnn's buffer for a name
constexpr int kMostValue = 1 << 20;     // limit of every number of a layer, except its weight count
constexpr int kMostWeights = 1 << 28;
constexpr int kOldArray = -23300;  // the key of an array is kOldArray - ID, its value starts with the length
// Keys of Convolution and ConvolutionDepthWise.
constexpr int kOutputs = 0, kKernelWidth = 1, kDilationWidth = 2, kStrideWidth = 3, kBias = 5, kWeights = 6;
constexpr int kGroups = 7, kInt8Scales = 8, kKernelHeight = 11, kDilationHeight = 12, kStrideHeight = 13;
constexpr int kDynamicWeights = 19;
constexpr int kRequantized = 100;  // added to kInt8Scales if the output is int8

using Layer = NetLayer;

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
    std::vector<std::string_view> words;
    for (std::size_t at = text.find_first_not_of(separators); at != std::string_view::npos;) {
        const std::size_t end = std::min(text.find_first_of(separators, at), text.size());
        words.push_back(text.substr(at, end - at));
        at = text.find_first_not_of(separators, end);
    }
    return words;
}

// Parses an unsigned integer of up to seven digits.
std::optional<std::size_t> count_of(std::string_view word) {
    if (word.empty() || word.size() > 7 || word.find_first_not_of("0123456789") != std::string_view::npos) {
        return std::nullopt;
    }
    return static_cast<std::size_t>(std::stoul(std::string(word)));
}

std::optional<double> number_of(std::string_view word) {
    if (word.empty() || word.size() > 24 || word.find_first_not_of("0123456789+-.eE") != std::string_view::npos) {
        return std::nullopt;
    }
    std::istringstream reader{std::string(word)};
    reader.imbue(std::locale::classic());
    double number = 0.0;
    const bool whole = (reader >> number) && reader.peek() == std::istringstream::traits_type::eof();
    return whole && std::isfinite(number) ? std::optional(number) : std::nullopt;
}

// Returns text of the file for a message, shortened and printable.
std::string quoted(std::string_view text) { return "'" + std::string(text.substr(0, 40)) + "'"; }

// Reads KEY=VALUE, or KEY=COUNT,VALUE,... for an array, into `layer`. Returns false if it is malformed.
bool parse_value(std::string_view word, std::set<int>& keys, Layer& layer) {
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) {
        return false;
    }
    const std::string_view key_text = word.substr(0, equals);
    const bool negative = !key_text.empty() && key_text.front() == '-';
    const std::optional<std::size_t> digits = count_of(key_text.substr(negative ? 1 : 0));
    if (!digits) {
        return false;
    }
    const int signed_key = negative ? -static_cast<int>(*digits) : static_cast<int>(*digits);
    const int key = negative ? kOldArray - signed_key : signed_key;
    if (keys_of(layer.kind)->count(key) == 0 || !keys.insert(key).second) {
        return false;
    }
    const std::string_view value = word.substr(equals + 1);
    std::vector<double> numbers;
    for (const std::string_view text : split(value, ",")) {
        const std::optional<double> number = number_of(text);
        const double most = key == kWeights && layer.is_convolution() ? kMostWeights : kMostValue;
        if (!number || std::abs(*number) > most) {
            return false;
        }
        numbers.push_back(*number);
    }
    if (negative) {
        const bool counted = !numbers.empty() && numbers.front() == static_cast<double>(numbers.size() - 1);
        layer.arrays[key] = {numbers.begin() + (numbers.empty() ? 0 : 1), numbers.end()};
        return counted;
    }
    if (numbers.size() != 1 || value.find(',') != std::string_view::npos) {
        return false;  // an array of newer ncnn, which our writers do not use
    }
    layer.numbers[key] = numbers.front();
    return true;
}

Result<Layer> parse_line(std::string_view line, std::size_t number) {
    const std::string where = " on line " + std::to_string(number) + " of .param, expected ";
    const std::vector<std::string_view> words = split(line, " \t");
    const auto too_long = [](std::string_view word) { return word.size() > kMostWord; };
    const auto in = words.size() < 4 ? std::nullopt : count_of(words[2]);
    const auto out = words.size() < 4 ? std::nullopt : count_of(words[3]);
    if (!in || !out || *in > kMostBlobsOfLayer || *out > kMostBlobsOfLayer || words.size() < 4 + *in + *out ||
        std::any_of(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(4 + *in + *out), too_long)) {
        return Error{"got " + quoted(line) + where + "type, name, and how many blobs go in and out" + kAgain};
    }
    Layer layer{std::string(words[0]), std::string(words[1]), {}, {}, {}, {}};
    if (keys_of(layer.kind) == nullptr) {
        return Error{"got a layer of type " + quoted(layer.kind) + where + "one that this program knows" + kAgain};
    }
    std::set<int> keys;
    for (std::size_t i = 4; i < words.size(); ++i) {
        if (i < 4 + *in + *out) {
            if (words[i].find('=') != std::string_view::npos) {
                return Error{"got too few names of blobs" + where + "as many as it says" + kAgain};
            }
            (i < 4 + *in ? layer.bottoms : layer.tops).emplace_back(words[i]);
        } else if (!parse_value(words[i], keys, layer)) {
            return Error{"got " + quoted(words[i]) + where + "KEY=NUMBER, every key once and of this layer" + kAgain};
        }
    }
    return layer;
}

// Checks that every blob is written once and then read once. Returns the number of blobs.
Result<std::size_t> check_graph(const std::vector<Layer>& layers) {
    std::set<std::string> made, used, names;
    for (const Layer& layer : layers) {
        const auto fault = [&](const std::string& blob, const char* expected) {
            return Error{"layer " + quoted(layer.name) + ": got blob " + quoted(blob) + ", expected " + expected +
                         kAgain};
        };
        const bool source = layer.kind == "Input";
        if (source ? !layer.bottoms.empty() : layer.bottoms.empty()) {
            return fault("", source ? "none to go into an Input" : "one at least to go in");
        }
        for (const std::string& blob : layer.bottoms) {
            if (made.count(blob) == 0 || !used.insert(blob).second) {
                return fault(blob, "one that a layer before makes and no other reads");
            }
        }
        for (const std::string& blob : layer.tops) {
            if (!made.insert(blob).second) {
                return fault(blob, "a new one");
            }
        }
        if (layer.tops.empty() || !names.insert(layer.name).second) {
            return Error{"layer " + quoted(layer.name) + ": expected a name of its own and a blob to come out" +
                         kAgain};
        }
    }
    return made.size();
}

Result<std::vector<Layer>> parse_param(const std::vector<std::uint8_t>& param) {
    const std::string text(param.begin(), param.end());
    const auto is_text = [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t'; };
    if (!std::all_of(text.begin(), text.end(), is_text)) {
        return Error{std::string("got bytes in .param that are not plain text, expected ncnn's text format") + kAgain};
    }
    const std::vector<std::string_view> lines = split(text, "\r\n");
    const std::vector<std::string_view> magic = split(lines.empty() ? "" : lines[0], " \t");
    if (magic.size() != 1 || magic[0] != kMagic) {
        return Error{"got " + quoted(lines.empty() ? "" : lines[0]) + " on line 1 of .param, expected " +
                     std::string(kMagic) + kAgain};
    }
    const std::vector<std::string_view> counts = split(lines.size() < 2 ? "" : lines[1], " \t");
    const auto layer_count = counts.size() == 2 ? count_of(counts[0]) : std::nullopt;
    const auto blob_count = counts.size() == 2 ? count_of(counts[1]) : std::nullopt;
    if (!layer_count || !blob_count || *layer_count != lines.size() - 2 || *layer_count > kMostLayers) {
        return Error{"got " + quoted(lines.size() < 2 ? "" : lines[1]) +
                     " on line 2 of .param, expected the numbers of " + "layers, " +
                     std::to_string(lines.size() < 2 ? 0 : lines.size() - 2) + ", and blobs" + kAgain};
    }
    std::vector<Layer> layers;
    for (std::size_t i = 2; i < lines.size(); ++i) {
        Result<Layer> layer = parse_line(lines[i], i + 1);
        if (!layer) {
            return layer.error();
        }
        layers.push_back(std::move(layer.value()));
    }
    const Result<std::size_t> blobs = check_graph(layers);
    if (!blobs) {
        return blobs.error();
    }
    if (blobs.value() != *blob_count) {
        return Error{"got " + std::to_string(blobs.value()) + " blobs in .param, expected " +
                     std::to_string(*blob_count) + " as its line 2 says" + kAgain};
    }
    return layers;
}

// Checks the sizes of a convolution whose weights have the type `tag`.
Result<std::size_t> convolution_bytes(const Layer& layer, std::uint32_t tag) {
    const Error fault{"layer " + quoted(layer.name) + ": got numbers of a convolution that do not fit together" +
                      kAgain};
    const bool depthwise = layer.kind == kDepthwise;
    const auto outputs = layer.whole(kOutputs, 1, 1 << 14, 0);
    const auto columns = layer.whole(kKernelWidth, 1, 64, 0);
    const auto rows = columns ? layer.whole(kKernelHeight, 1, 64, *columns) : std::nullopt;
    const auto size = layer.whole(kWeights, 1, kMostWeights, 0);
    const auto groups = depthwise ? layer.whole(kGroups, 1, 1 << 14, 1) : std::optional<std::size_t>(1);
    const auto bias = layer.whole(kBias, 0, 1, 0);
    const auto term = layer.whole(kInt8Scales, 0, 102, 0);
    if (!outputs || !columns || !rows || !size || !groups || !bias || !term || *outputs == 0 || *columns == 0 ||
        *size == 0 || *outputs % *groups != 0 || *size % (*outputs * *rows * *columns) != 0) {
        return fault;
    }
    for (const int key : {kDilationWidth, kDilationHeight, kStrideWidth, kStrideHeight}) {
        if (!layer.whole(key, 1, 64, 1)) {
            return fault;
        }
    }
    const bool known_term = *term == 0 || *term == 2 || *term == 102 || (depthwise && (*term == 1 || *term == 101));
    if (!known_term || layer.whole(kDynamicWeights, 0, 0, 0) != std::optional<std::size_t>(0)) {
        return fault;
    }
    const std::size_t each = tag == 0 ? 4 : tag == 0x01306B47 ? 2 : tag == 0x000D4B38 ? 1 : 0;
    if (each == 0 || (each == 1 && *term == 0)) {
        return Error{"layer " + quoted(layer.name) + ": got weights of an unknown kind in .bin" + kAgain};
    }
    std::size_t floats = *bias * *outputs;
    if (*term != 0) {
        floats += !depthwise ? *outputs : *term % kRequantized == 1 ? *groups : 1;  // scales of the weights
        floats += *term > kRequantized ? 2 : 1;                                     // and of the blobs
    }
    return sizeof tag + (*size * each + 3) / 4 * 4 + floats * sizeof(float);
}

}  // namespace

Failure check_net(const std::vector<std::uint8_t>& param, const std::vector<std::uint8_t>& bin, int height, int width) {
    const Result<std::vector<Layer>> layers = parse_param(param);
    if (!layers) {
        return layers.error();
    }
    std::size_t at = 0;
    for (const Layer& layer : layers.value()) {
        if (!layer.is_convolution()) {
            continue;
        }
        std::uint32_t tag = 0xFFFFFFFF;
        if (bin.size() - at >= sizeof tag) {
            std::memcpy(&tag, bin.data() + at, sizeof tag);
        }
        const Result<std::size_t> bytes = convolution_bytes(layer, tag);
        if (!bytes) {
            return bytes.error();
        }
        if (bytes.value() > bin.size() - at) {
            return Error{"layer " + quoted(layer.name) + ": got " + std::to_string(bin.size() - at) +
                         " bytes in .bin, expected " + std::to_string(bytes.value()) + kAgain};
        }
        at += bytes.value();
    }
    if (at != bin.size()) {
        return Error{"got " + std::to_string(bin.size() - at) +
                     " bytes in .bin beyond what .param describes, expected 0" + kAgain};
    }
    return check_shapes(layers.value(), height, width);
}

}  // namespace skyedge
