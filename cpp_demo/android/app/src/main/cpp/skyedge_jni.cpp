// The native side of SkySegmenter.kt, over the C interface. Frames and masks are direct buffers: nothing is copied.
#include <jni.h>

#include <string>

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

JNIEXPORT jlong JNICALL Java_io_skyedge_SkySegmenter_nativeCreate(JNIEnv* env, jclass, jbyteArray json, jobject param,
                                                                  jobject bin, jint threads, jboolean fp16) {
    const jlong param_size = param == nullptr ? 0 : env->GetDirectBufferCapacity(param);
    const jlong bin_size = bin == nullptr ? 0 : env->GetDirectBufferCapacity(bin);
    const auto* const param_bytes = static_cast<const uint8_t*>(address_of(env, param, 1));
    const auto* const bin_bytes = param_bytes == nullptr ? nullptr : static_cast<const uint8_t*>(address_of(env, bin, 1));
    if (bin_bytes == nullptr || json == nullptr) {
        return 0;
    }
    std::string text(static_cast<std::size_t>(env->GetArrayLength(json)), '\0');
    env->GetByteArrayRegion(json, 0, env->GetArrayLength(json), reinterpret_cast<jbyte*>(text.data()));
    skyedge_options options;
    skyedge_options_init(&options);
    options.threads = threads;
    options.fp16 = fp16 == JNI_TRUE ? 1 : 0;
    skyedge_segmenter* segmenter = nullptr;
    if (skyedge_create_from_memory(text.data(), text.size(), param_bytes, static_cast<std::size_t>(param_size), bin_bytes,
                                   static_cast<std::size_t>(bin_size), &options, &segmenter) != SKYEDGE_OK) {
        raise(env, skyedge_last_error());
    }
    return reinterpret_cast<jlong>(segmenter);
}

// Segments a YUV_420_888 frame to 8-bit alpha at the mask's size.
JNIEXPORT void JNICALL Java_io_skyedge_SkySegmenter_nativeSegment(JNIEnv* env, jclass, jlong handle, jobject y, jobject u,
                                                                  jobject v, jint width, jint height, jint y_stride,
                                                                  jint uv_stride, jint uv_pixel_stride, jint rotation,
                                                                  jobject alpha, jint mask_width, jint mask_height) {
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
