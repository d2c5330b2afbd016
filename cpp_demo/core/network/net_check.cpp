#include "core/network/net_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <locale>
#include <optional>
#include <sstream>
#include <string_view>

#include "core/network/net_shapes.h"

namespace skyedge {
namespace {

constexpr std::string_view kMagic = "7767517", kBlanks = " \t", kDigits = "0123456789";
constexpr const char* kAgain = "; export the artifact again";
constexpr std::size_t kMostLayers = 4096, kMostBlobsOfLayer = 64;
constexpr std::size_t kMostWord = 255;  // ncnn's buffer for a name
constexpr int kMostValue = 1 << 20;     // limit of every number of a layer, except its weight count
constexpr int kOldArray = -23300;       // the key of an array is kOldArray - ID, its value starts with the length
constexpr std::int64_t kMostInBlob = std::int64_t{1} << 28;  // values

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
    const bool good = !word.empty() && word.size() <= 7 && word.find_first_not_of(kDigits) == std::string_view::npos;
    return good ? std::optional<std::size_t>(std::stoul(std::string(word))) : std::nullopt;
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

// Returns text of the file for a message, shortened.
std::string quoted(std::string_view text) { return "'" + std::string(text.substr(0, 40)) + "'"; }

// Reads KEY=VALUE, or KEY=COUNT,VALUE,... for an array, into `layer`. Returns false if it is malformed.
bool parse_value(std::string_view word, const std::set<int>& known, std::set<int>& seen, NetLayer& layer) {
    const std::size_t equals = word.find('=');
    const bool is_array = word.front() == '-';
    const auto digits = count_of(word.substr(0, equals).substr(is_array ? 1 : 0));
    if (equals == std::string_view::npos || !digits) {
        return false;
    }
    const int key = is_array ? kOldArray + static_cast<int>(*digits) : static_cast<int>(*digits);
    if (known.count(key) == 0 || !seen.insert(key).second) {
        return false;
    }
    const std::string_view value = word.substr(equals + 1);
    std::vector<double> numbers;
    for (const std::string_view text : split(value, ",")) {
        const std::optional<double> number = number_of(text);
        if (!number || std::abs(*number) > (key == 6 && layer.is_convolution() ? kMostWeights : kMostValue)) {
            return false;
        }
        numbers.push_back(*number);
    }
    if (numbers.empty()) {
        return false;
    }
    if (is_array) {
        layer.arrays[key] = {numbers.begin() + 1, numbers.end()};
        return numbers.front() == static_cast<double>(numbers.size() - 1);
    }
    layer.numbers[key] = numbers.front();
    return value.find(',') == std::string_view::npos;  // with commas: an array of newer ncnn, which our writers do not use
}

NetLayer parse_line(std::string_view line, std::size_t number) {
    const auto fault = [&](const std::string& got, const std::string& expected) {
        return NetFault("got " + got + " on line " + std::to_string(number) + " of .param, expected " + expected + kAgain);
    };
    const std::vector<std::string_view> words = split(line, kBlanks);
    const auto in = words.size() < 4 ? std::nullopt : count_of(words[2]);
    const auto out = words.size() < 4 ? std::nullopt : count_of(words[3]);
    const std::size_t names = 4 + in.value_or(0) + out.value_or(0);
    if (!in || !out || *in > kMostBlobsOfLayer || *out > kMostBlobsOfLayer || words.size() < names ||
        std::any_of(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(names),
                    [](std::string_view word) { return word.size() > kMostWord; })) {
        throw fault(quoted(line), "type, name, and how many blobs go in and out");
    }
    NetLayer layer{std::string(words[0]), std::string(words[1]), {}, {}, {}, {}};
    const NetKind* const kind = find_kind(layer.kind);
    if (kind == nullptr) {
        throw fault("a layer of type " + quoted(layer.kind), "one that this program knows");
    }
    std::set<int> seen;
    for (std::size_t i = 4; i < words.size(); ++i) {
        if (i >= names && !parse_value(words[i], kind->keys, seen, layer)) {
            throw fault(quoted(words[i]), "KEY=NUMBER, every key once and of this layer");
        }
        if (i < names && words[i].find('=') != std::string_view::npos) {
            throw fault("too few names of blobs", "as many as it says");
        }
        if (i < names) {
            (i < 4 + *in ? layer.bottoms : layer.tops).emplace_back(words[i]);
        }
    }
    return layer;
}

// Returns the layers; `blobs` is how many blobs the file says it has.
std::vector<NetLayer> parse_param(const std::string& text, std::size_t& blobs) {
    const auto is_text = [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t'; };
    if (!std::all_of(text.begin(), text.end(), is_text)) {
        throw NetFault(std::string("got bytes in .param that are not plain text, expected ncnn's text format") + kAgain);
    }
    const std::vector<std::string_view> lines = split(text, "\r\n");
    const std::string_view first = lines.empty() ? "" : lines[0], second = lines.size() < 2 ? "" : lines[1];
    if (split(first, kBlanks) != std::vector{kMagic}) {
        throw NetFault("got " + quoted(first) + " on line 1 of .param, expected " + std::string(kMagic) + kAgain);
    }
    const std::vector<std::string_view> counts = split(second, kBlanks);
    const auto layer_count = counts.size() == 2 ? count_of(counts[0]) : std::nullopt;
    const auto blob_count = counts.size() == 2 ? count_of(counts[1]) : std::nullopt;
    if (!layer_count || !blob_count || *layer_count != lines.size() - 2 || *layer_count > kMostLayers) {
        throw NetFault("got " + quoted(second) + " on line 2 of .param, expected the numbers of layers, " +
                       std::to_string(std::max<std::size_t>(lines.size(), 2) - 2) + ", and blobs" + kAgain);
    }
    blobs = *blob_count;
    std::vector<NetLayer> layers;
    for (std::size_t i = 2; i < lines.size(); ++i) {
        layers.push_back(parse_line(lines[i], i + 1));
    }
    return layers;
}

struct Blob {
    Shape shape;
    bool borrowed = false;  // the caller's memory: ncnn crashes if a layer works on it in place
    bool is_int8 = false;   // what only an int8 convolution accepts
};

// Every blob is made once, by a layer before the one that reads it, and read once.
class Graph {
public:
    // Adds a layer, whose outputs get their shapes.
    void add(const NetLayer& layer, const Shape& image) {
        const bool source = layer.kind == "Input";
        if (source != layer.bottoms.empty() || layer.tops.empty() || !names_.insert(layer.name).second) {
            throw layer.fault("expected a name of its own, and blobs that go in (into an Input none) and out");
        }
        Shapes given;
        bool borrowed = source, is_int8 = false;
        for (const std::string& name : layer.bottoms) {
            const auto found = open_.find(name);
            if (found == open_.end()) {
                throw layer.fault("got blob " + quoted(name) + ", expected one that a layer before makes and no other reads");
            }
            given.push_back(std::move(found->second.shape));
            borrowed = borrowed || found->second.borrowed;
            is_int8 = is_int8 || found->second.is_int8;
            open_.erase(found);
        }
        const NetKind& kind = *find_kind(layer.kind);
        if (borrowed && kind.in_place) {
            throw layer.fault("got " + layer.kind + " on the image itself, expected a convolution");
        }
        const std::int64_t term = layer.is_convolution() ? layer.whole(8, 0, 102, 0) : 0;
        if (is_int8 && term == 0) {
            throw layer.fault("got int8 from the layer before, expected float");
        }
        const Shapes made = source ? Shapes{image} : kind.shapes(layer, given);
        if (made.size() != layer.tops.size()) {
            throw layer.misfit();
        }
        for (std::size_t i = 0; i < made.size(); ++i) {
            check_size(layer, made[i]);
            if (!made_.insert(layer.tops[i]).second) {
                throw layer.fault("got blob " + quoted(layer.tops[i]) + ", expected a new one");
            }
            open_[layer.tops[i]] = {made[i], source || (borrowed && layer.kind == "Split"), term > 100};
        }
    }

    std::size_t blobs() const { return made_.size(); }

private:
    static void check_size(const NetLayer& layer, const Shape& shape) {
        std::int64_t values = 1;
        for (const std::int64_t side : shape) {
            if (side < 1 || side > kMostInBlob || (values *= side) > kMostInBlob) {
                throw layer.misfit();
            }
        }
    }

    std::map<std::string, Blob> open_;  // made and not read yet
    std::set<std::string> made_, names_;
};

// Returns the bytes of a convolution in .bin, whose weights have the type `tag`.
std::size_t convolution_bytes(const NetLayer& layer, std::uint32_t tag) {
    const bool depthwise = layer.kind == "ConvolutionDepthWise";
    const std::int64_t term = layer.whole(8, 0, 102, 0), outputs = layer.whole(0, 1, 1 << 14, 0);
    const std::int64_t each = tag == 0 ? 4 : tag == 0x01306B47 ? 2 : tag == 0x000D4B38 ? 1 : 0;  // float32, float16, int8
    layer.whole(19, 0, 0, 0);  // weights that another layer computes
    if (term != 0 && term % 100 != 2 && !(depthwise && term % 100 == 1)) {
        throw layer.misfit();
    }
    if (each == 0 || (each == 1 && term == 0)) {
        throw layer.fault("got weights of an unknown kind in .bin");
    }
    std::int64_t floats = layer.whole(5, 0, 1, 0) * outputs;
    if (term != 0) {
        floats += !depthwise ? outputs : term % 100 == 1 ? layer.whole(7, 1, 1 << 14, 1) : 1;  // scales of the weights
        floats += term > 100 ? 2 : 1;                                                          // and of the blobs
    }
    return static_cast<std::size_t>(4 + (layer.whole(6, 1, kMostWeights, 0) * each + 3) / 4 * 4 + floats * 4);
}

void check(const std::string& param, const std::vector<std::uint8_t>& bin, const Shape& image) {
    std::size_t said = 0, at = 0;
    Graph graph;
    for (const NetLayer& layer : parse_param(param, said)) {
        graph.add(layer, image);
        if (!layer.is_convolution()) {
            continue;
        }
        std::uint32_t tag = 0xFFFFFFFF;
        if (bin.size() - at >= sizeof tag) {
            std::memcpy(&tag, bin.data() + at, sizeof tag);
        }
        const std::size_t bytes = convolution_bytes(layer, tag);
        if (bytes > bin.size() - at) {
            throw layer.fault("got " + std::to_string(bin.size() - at) + " bytes in .bin, expected " + std::to_string(bytes));
        }
        at += bytes;
    }
    if (graph.blobs() != said) {
        throw NetFault("got " + std::to_string(graph.blobs()) + " blobs in .param, expected " + std::to_string(said) +
                       " as its line 2 says" + kAgain);
    }
    if (at != bin.size()) {
        throw NetFault("got " + std::to_string(bin.size() - at) + " bytes in .bin beyond what .param describes, expected 0" +
                       kAgain);
    }
}

}  // namespace

Failure check_net(const std::vector<std::uint8_t>& param, const std::vector<std::uint8_t>& bin, int height, int width) {
    try {
        check({param.begin(), param.end()}, bin, {3, height, width});
        return std::nullopt;
    } catch (const NetFault& fault) {
        return Error{fault.what()};
    }
}

}  // namespace skyedge
