// A complete artifact for tests: one 1x1 convolution and a sigmoid, whose output is known.
#pragma once

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tests/check.h"
#include "core/artifact/sha256.h"

namespace skyedge::test {

constexpr int kTinySidePx = 8;
constexpr float kTinyWeights[3] = {0.5F, -1.0F, 2.0F};  // R, G, B
constexpr float kTinyBias = 0.25F;

// The network's output for an image of one color.
inline double tiny_probability(int red, int green, int blue) {
    const int pixel[3] = {red, green, blue};
    double sum = kTinyBias;
    for (int c = 0; c < 3; ++c) {
        sum += kTinyWeights[c] * ((pixel[c] - 127) / 128.0);
    }
    return 1.0 / (1.0 + std::exp(-sum));
}

inline std::string tiny_param() {
    return "7767517\n3 3\n"
           "Input in0 0 1 in0\n"
           "Convolution conv 1 1 in0 1 0=1 1=1 5=1 6=3\n"
           "Sigmoid sigmoid 1 1 1 out0\n";
}

inline std::string tiny_bin() {
    std::string bin(4, '\0');  // the tag of float32 weights
    bin.append(reinterpret_cast<const char*>(kTinyWeights), sizeof kTinyWeights);
    bin.append(reinterpret_cast<const char*>(&kTinyBias), sizeof kTinyBias);
    return bin;
}

inline nlohmann::json file_entry(const std::string& name, const std::string& content) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(content.data());
    return {{"path", name}, {"sha256", sha256_hex(bytes, content.size())}, {"bytes", content.size()}};
}

inline nlohmann::json tiny_spec(const std::string& param = tiny_param(), const std::string& bin = tiny_bin()) {
    const nlohmann::json nothing = nullptr;
    return {
        {"schema_version", 1},
        {"name", "tiny-8-fp32-ncnn"},
        {"arch", "tiny"},
        {"format", "ncnn"},
        {"files", {{"param", file_entry("model.param", param)}, {"bin", file_entry("model.bin", bin)}}},
        {"input",
         {{"name", "in0"},
          {"shape", {1, 3, kTinySidePx, kTinySidePx}},
          {"layout", "NCHW"},
          {"dtype", "float32"},
          {"color", "RGB"},
          {"resize", "pillow_bilinear"},
          {"mean", {127, 127, 127}},
          {"std", {128, 128.0, 128}},
          {"quant", nothing}}},
        {"output",
         {{"name", "out0"}, {"meaning", "probability"}, {"threshold", 0.5}, {"dtype", "float32"}, {"quant", nothing}}},
        {"quantization",
         {{"precision", "fp32"}, {"weights", "float32"}, {"activations", "float32"}, {"calibration", nothing}}},
        {"golden", {{"input", "golden_in.npy"}, {"output", "golden_out.npy"}, {"atol", 1e-5}}},
        {"provenance", {{"anything", {1, 2, {{"deep", true}}}}}},
        {"metrics", nlohmann::json::object()},
        {"weights_license", "none"},
    };
}

// A .npy file of version 1.0.
inline std::string npy(const std::string& dtype, const std::string& shape, const std::string& body) {
    std::string dict = "{'descr': '" + dtype + "', 'fortran_order': False, 'shape': (" + shape + "), }";
    dict += std::string(63 - (10 + dict.size()) % 64, ' ') + "\n";
    const auto size = static_cast<unsigned>(dict.size());
    return std::string("\x93NUMPY\x01\0", 8) + static_cast<char>(size & 255U) + static_cast<char>(size >> 8U) + dict + body;
}

// An image of one color and the network's output.
inline std::string tiny_golden_input() {
    std::string body;
    for (int i = 0; i < kTinySidePx * kTinySidePx; ++i) {
        body += {static_cast<char>(10), static_cast<char>(200), static_cast<char>(150)};
    }
    return npy("|u1", "8, 8, 3", body);
}

inline std::string tiny_golden_output(double offset = 0.0) {
    const auto p = static_cast<float>(tiny_probability(10, 200, 150) + offset);
    std::string body;
    for (int i = 0; i < kTinySidePx * kTinySidePx; ++i) {
        body.append(reinterpret_cast<const char*>(&p), sizeof p);
    }
    return npy("<f4", "8, 8", body);
}

// Writes an artifact whose spec has the right sizes and SHA-256.
inline void write_tiny(const std::filesystem::path& folder, const nlohmann::json& spec = tiny_spec(),
                       const std::string& param = tiny_param(), const std::string& bin = tiny_bin()) {
    std::filesystem::create_directories(folder);
    write_text(folder / "model.json", spec.dump(2));
    write_text(folder / "model.param", param);
    write_text(folder / "model.bin", bin);
    write_text(folder / "golden_in.npy", tiny_golden_input());
    write_text(folder / "golden_out.npy", tiny_golden_output());
}

}  // namespace skyedge::test
