// The native side of SkySegmenter.kt, over the C interface. Frames and masks are direct buffers: nothing is copied.
#include <jni.h>

#include <cstddef>

#include "skyedge/skyedge.h"

namespace {

void raise(JNIEnv* env, const char* message) {
    if (const jclass type = env->FindClass("java/lang/IllegalArgumentException")) {
        env->ThrowNew(type, message);
    }
}

// Returns the address of a direct buffer of at least `bytes`; else throws a Java exception and returns null.
void* address_of(JNIEnv* env, jobject buffer, jlong bytes) {
    void* const address = buffer == nullptr ? nullptr : env->GetDirectBufferAddress(buffer);
    if (address == nullptr || env->GetDirectBufferCapacity(buffer) < bytes) {
        raise(env, "got a buffer that is not direct or too small, expected ByteBuffer.allocateDirect or a camera's plane");
        return nullptr;
    }
    return address;
}

// The least size of a plane in bytes; the last row may lack its padding.
jlong plane_bytes(jlong rows, jlong stride, jlong last_row) { return rows < 1 ? 0 : (rows - 1) * stride + last_row; }

}  // namespace

extern "C" {

// `files`: direct buffers of model.json, param, bin and, or null, the golden pair.
JNIEXPORT jlong JNICALL Java_io_skyedge_SkySegmenter_nativeCreate(JNIEnv* env, jclass, jobjectArray files, jint threads,
                                                                  jboolean fp16) {
    skyedge_files artifact;
    skyedge_files_init(&artifact);
    skyedge_bytes* const places[] = {&artifact.json, &artifact.param, &artifact.bin, &artifact.golden_input,
                                     &artifact.golden_output};
    for (jsize i = 0; i < 5; ++i) {
        const jobject buffer = env->GetObjectArrayElement(files, i);
        if (buffer != nullptr || i < 3) {
            places[i]->data = address_of(env, buffer, 1);
            if (places[i]->data == nullptr) {
                return 0;
            }
            places[i]->size = static_cast<std::size_t>(env->GetDirectBufferCapacity(buffer));
        }
    }
    skyedge_options options;
    skyedge_options_init(&options);
    options.threads = threads;
    options.fp16 = fp16 == JNI_TRUE ? 1 : 0;
    skyedge_segmenter* segmenter = nullptr;
    if (skyedge_create_from_memory(&artifact, &options, &segmenter) != SKYEDGE_OK) {
        raise(env, skyedge_last_error());
    }
    return reinterpret_cast<jlong>(segmenter);
}

JNIEXPORT jstring JNICALL Java_io_skyedge_SkySegmenter_nativeNotes(JNIEnv* env, jclass, jlong handle) {
    return env->NewStringUTF(skyedge_notes(reinterpret_cast<skyedge_segmenter*>(handle)));
}

// Segments a YUV_420_888 frame to 8-bit alpha; SkySegmenter.kt lists the numbers in `sizes`.
JNIEXPORT void JNICALL Java_io_skyedge_SkySegmenter_nativeSegment(JNIEnv* env, jclass, jlong handle, jobject y, jobject u,
                                                                  jobject v, jintArray sizes, jobject alpha) {
    jint numbers[12];
    env->GetIntArrayRegion(sizes, 0, 12, numbers);
    if (env->ExceptionCheck() != JNI_FALSE) {  // fewer
        return;
    }
    const auto [width, height, y_stride, uv_stride, uv_pixel_stride, rotation, left, top, crop_width, crop_height, mask_width,
                mask_height] = numbers;
    const jlong chroma_rows = (static_cast<jlong>(height) + 1) / 2;
    const jlong chroma_row = ((static_cast<jlong>(width) + 1) / 2 - 1) * uv_pixel_stride + 1;
    skyedge_frame frame;
    skyedge_frame_init(&frame);
    frame.format = SKYEDGE_YUV420;
    frame.width = width;
    frame.height = height;
    frame.row_strides[0] = y_stride;
    frame.row_strides[1] = frame.row_strides[2] = uv_stride;
    frame.chroma_pixel_stride = uv_pixel_stride;
    frame.rotation = rotation;
    frame.crop_x = left;
    frame.crop_y = top;
    frame.crop_width = crop_width;
    frame.crop_height = crop_height;
    const jobject planes[] = {y, u, v};
    for (int i = 0; i < 3; ++i) {
        const jlong bytes = i == 0 ? plane_bytes(height, y_stride, width) : plane_bytes(chroma_rows, uv_stride, chroma_row);
        frame.planes[i] = static_cast<const uint8_t*>(address_of(env, planes[i], bytes));
        if (frame.planes[i] == nullptr) {
            return;
        }
    }
    skyedge_mask mask;
    skyedge_mask_init(&mask);
    mask.data = address_of(env, alpha, static_cast<jlong>(mask_width) * mask_height);
    if (mask.data == nullptr) {
        return;
    }
    mask.row_stride = mask_width < 0 ? 0U : static_cast<std::size_t>(mask_width);
    mask.width = mask_width;
    mask.height = mask_height;
    if (skyedge_segment(reinterpret_cast<skyedge_segmenter*>(handle), &frame, &mask) != SKYEDGE_OK) {
        raise(env, skyedge_last_error());
    }
}

JNIEXPORT void JNICALL Java_io_skyedge_SkySegmenter_nativeDestroy(JNIEnv*, jclass, jlong handle) {
    skyedge_destroy(reinterpret_cast<skyedge_segmenter*>(handle));
}

}  // extern "C"
