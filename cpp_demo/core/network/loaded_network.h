// What load_network.cpp and sky_segmenter.cpp share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "net.h"
#include "skyedge/sky_segmenter.h"

namespace skyedge {

constexpr std::size_t kChannels = 3;

// (byte - mean) / std for every channel and byte.
using Normalized = std::array<std::array<float, 256>, kChannels>;

// A loaded network; constant after `load`.
struct SkySegmenter::Network {
    ModelSpec spec;
    std::vector<std::string> notes;
    std::vector<std::uint8_t> bin;  // `net` points into it, so it is destroyed after `net`
    Normalized table{};
    int input_index = 0;
    int output_index = 0;
    ncnn::Net net;
};

// Runs `body` and turns an exception, such as std::bad_alloc, into an Error.
template <class What, class Body>
auto guarded(const What& what, const Body& body) -> decltype(body()) {
    try {
        return body();
    } catch (const std::exception& error) {
        return Error{std::string("cannot ") + what + ": " + error.what(), ErrorCode::kMemory};
    }
}

inline Error ncnn_error(const ModelSpec& spec, const std::string& step, int code) {
    return Error{spec.name + ": ncnn gave code " + std::to_string(code) + " at " + step +
                     ", expected 0; export the artifact again with this release",
                 ErrorCode::kNetwork};
}

}  // namespace skyedge
