// One pixel of four bytes as four numbers. Written as byte shuffles (little-endian), because GCC splits a conversion of
// four bytes into single ones. GCC and Clang have the vector types; clang-cl compiles for Windows.
#pragma once

#include <cstdint>
#include <cstring>

namespace skyedge {

using Lanes = std::int32_t __attribute__((vector_size(16)));
using LaneBytes = std::uint8_t __attribute__((vector_size(16)));

inline Lanes all_lanes(std::int32_t value) { return Lanes{} + value; }

inline Lanes load_pixel(const std::uint8_t* from) {
    std::int32_t word = 0;
    std::memcpy(&word, from, sizeof word);
    const LaneBytes bytes = reinterpret_cast<LaneBytes>(Lanes{word, 0, 0, 0});
#if defined(__clang__) || __GNUC__ >= 12
    return reinterpret_cast<Lanes>(
        __builtin_shufflevector(bytes, LaneBytes{}, 0, 16, 16, 16, 1, 16, 16, 16, 2, 16, 16, 16, 3, 16, 16, 16));
#else
    constexpr LaneBytes kSpread{0, 16, 16, 16, 1, 16, 16, 16, 2, 16, 16, 16, 3, 16, 16, 16};
    return reinterpret_cast<Lanes>(__builtin_shuffle(bytes, LaneBytes{}, kSpread));
#endif
}

// Clamps every lane to 255 and stores its low byte. Lanes must not be negative.
inline void store_pixel(Lanes values, std::uint8_t* to) {
    const LaneBytes bytes = reinterpret_cast<LaneBytes>(values > 255 ? all_lanes(255) : values);
#if defined(__clang__) || __GNUC__ >= 12
    const std::int32_t word = reinterpret_cast<Lanes>(
        __builtin_shufflevector(bytes, LaneBytes{}, 0, 4, 8, 12, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16))[0];
#else
    constexpr LaneBytes kGather{0, 4, 8, 12, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16};
    const std::int32_t word = reinterpret_cast<Lanes>(__builtin_shuffle(bytes, LaneBytes{}, kGather))[0];
#endif
    std::memcpy(to, &word, sizeof word);
}

}  // namespace skyedge
