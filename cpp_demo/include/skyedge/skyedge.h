/* The C interface of skyedge, for Swift, Kotlin (JNI), Rust, Python (ctypes) and C. Functions never throw or exit, and
 * structs only grow at their end: set struct_size to sizeof, or fill them with the *_init functions. */
#ifndef SKYEDGE_SKYEDGE_H
#define SKYEDGE_SKYEDGE_H

#include <stddef.h>
#include <stdint.h>

#include "skyedge/version.h"

#if defined(_WIN32) && defined(SKYEDGE_SHARED)
#ifdef SKYEDGE_BUILD
#define SKYEDGE_API __declspec(dllexport)
#else
#define SKYEDGE_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define SKYEDGE_API __attribute__((visibility("default")))
#else
#define SKYEDGE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A loaded network with the memory of one stream of frames. Calls on one handle wait for each other. */
typedef struct skyedge_segmenter skyedge_segmenter;

enum { /* what functions return */
    SKYEDGE_OK = 0,
    SKYEDGE_BAD_ARGUMENT = 1,
    SKYEDGE_BAD_FILE = 2,
    SKYEDGE_BAD_ARTIFACT = 3,
    SKYEDGE_NETWORK_FAILED = 4,
    SKYEDGE_NO_MEMORY = 5,
    SKYEDGE_UNSUPPORTED = 6
};

enum { /* pixel formats; frame.h says what their planes hold */
    SKYEDGE_RGB = 0,
    SKYEDGE_RGBA = 1,
    SKYEDGE_BGRA = 2,
    SKYEDGE_NV12 = 3,
    SKYEDGE_NV21 = 4,
    SKYEDGE_YUV420 = 5,
    SKYEDGE_YUYV = 6,
    SKYEDGE_UYVY = 7
};
enum { SKYEDGE_BT601_FULL = 0, SKYEDGE_BT601_VIDEO = 1, SKYEDGE_BT709_VIDEO = 2 };
enum { SKYEDGE_ALPHA8 = 0, SKYEDGE_FLOAT32 = 1 };

typedef struct {
    size_t struct_size;
    int32_t threads;   /* 1 to 64 */
    int32_t fp16;      /* this and the next three: 0 or 1; see Options in sky_segmenter.h */
    int32_t vulkan;
    int32_t big_cores;
    int32_t self_test;
} skyedge_options;

typedef struct {
    size_t struct_size;
    int32_t format;
    int32_t width;
    int32_t height;
    const uint8_t* planes[3];
    int32_t row_strides[3]; /* bytes */
    int32_t chroma_pixel_stride;
    int32_t rotation; /* degrees clockwise that make the frame upright: 0, 90, 180 or 270 */
    int32_t crop_x;   /* a crop_width of 0 means the whole frame */
    int32_t crop_y;
    int32_t crop_width;
    int32_t crop_height;
    int32_t color;
} skyedge_frame;

typedef struct {
    size_t struct_size;
    void* data;
    size_t row_stride; /* bytes */
    int32_t width;
    int32_t height;
    int32_t format;
} skyedge_mask;

/* A file in memory. */
typedef struct {
    const void* data;
    size_t size;
} skyedge_bytes;

/* The files of an artifact. Those of the golden pair may be empty; fp16, vulkan and self_test need them. */
typedef struct {
    size_t struct_size;
    skyedge_bytes json; /* model.json */
    skyedge_bytes param;
    skyedge_bytes bin;
    skyedge_bytes golden_input; /* golden_in.npy and golden_out.npy */
    skyedge_bytes golden_output;
} skyedge_files;

/* The library's version, such as "0.1.0". */
SKYEDGE_API const char* skyedge_version(void);

/* Defaults: one thread and float32; no files; an RGB frame without size; an 8-bit mask without memory. */
SKYEDGE_API void skyedge_options_init(skyedge_options* options);
SKYEDGE_API void skyedge_files_init(skyedge_files* files);
SKYEDGE_API void skyedge_frame_init(skyedge_frame* frame);
SKYEDGE_API void skyedge_mask_init(skyedge_mask* mask);

/* Opens the artifact folder (UTF-8 path). `options` may be NULL. On failure *segmenter is NULL. */
SKYEDGE_API int skyedge_create(const char* folder, const skyedge_options* options, skyedge_segmenter** segmenter);

/* The same for an artifact in memory, such as an app's resources. */
SKYEDGE_API int skyedge_create_from_memory(const skyedge_files* files, const skyedge_options* options,
                                           skyedge_segmenter** segmenter);

/* Writes the mask of the upright, cropped frame, at the mask's size. */
SKYEDGE_API int skyedge_segment(skyedge_segmenter* segmenter, const skyedge_frame* frame, const skyedge_mask* mask);

/* The size of the network's input. A mask of this size has all the information; larger masks are interpolated. */
SKYEDGE_API int skyedge_input_size(const skyedge_segmenter* segmenter, int32_t* width, int32_t* height);

/* The requested options that are not used, one line each; empty if all are used. Valid until destroyed. */
SKYEDGE_API const char* skyedge_notes(const skyedge_segmenter* segmenter);

/* The message of this thread's last failed call: one line, valid until the next failure. Never NULL. */
SKYEDGE_API const char* skyedge_last_error(void);

/* NULL is allowed. */
SKYEDGE_API void skyedge_destroy(skyedge_segmenter* segmenter);

#ifdef __cplusplus
}
#endif

#endif
