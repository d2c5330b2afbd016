// For loops that compute the same integers, or the same rounded floats, on every CPU: on x86 the program picks the
// version for AVX2 where the CPU has it. 64-bit Arm always has the instructions that they need.
#pragma once

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define SKYEDGE_SIMD __attribute__((target_clones("avx2", "default")))
#else
#define SKYEDGE_SIMD
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define SKYEDGE_RESTRICT __restrict
#else
#define SKYEDGE_RESTRICT __restrict__
#endif
