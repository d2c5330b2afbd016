// Marks loops whose results are the same with and without SIMD. On x86 they are compiled twice, and the program picks the
// AVX2 version at run time if the CPU has it. 64-bit Arm always has the instructions they need.
#pragma once

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define SKYEDGE_SIMD __attribute__((target_clones("avx2", "default")))
#else
#define SKYEDGE_SIMD
#endif

#define SKYEDGE_RESTRICT __restrict__
