package io.skyedge

import android.content.res.AssetManager
import androidx.camera.core.ImageProxy
import java.io.Closeable
import java.nio.ByteBuffer

/** The sky network. One per stream of frames; calls wait for each other. */
class SkySegmenter private constructor(private var handle: Long) : Closeable {

    /** Alpha of the upright frame, [width] x [height], 255 is sky. The buffer is written again by the next frame. */
    class Mask(val alpha: ByteBuffer, val width: Int, val height: Int)

    private var mask = Mask(ByteBuffer.allocateDirect(1), 1, 1)

    /** Segments a frame of YUV_420_888. The mask has [side] pixels on its longer side, for a shader to enlarge. */
    @Synchronized
    fun segment(image: ImageProxy, side: Int = 320): Mask {
        check(handle != 0L) { "got a SkySegmenter that was closed, expected an open one" }
        val rotation = image.imageInfo.rotationDegrees
        val turned = rotation % 180 != 0
        val wide = if (turned) image.height else image.width
        val high = if (turned) image.width else image.height
        val width = maxOf(1, wide * side / maxOf(wide, high))
        val height = maxOf(1, high * side / maxOf(wide, high))
        if (mask.width != width || mask.height != height) {
            mask = Mask(ByteBuffer.allocateDirect(width * height), width, height)
        }
        val (y, u, v) = image.planes
        nativeSegment(
            handle, y.buffer, u.buffer, v.buffer, image.width, image.height, y.rowStride, u.rowStride, u.pixelStride,
            rotation, mask.alpha, width, height,
        )
        return mask
    }

    @Synchronized
    override fun close() {
        nativeDestroy(handle)
        handle = 0L
    }

    companion object {
        init {
            System.loadLibrary("skyedge_jni")
        }

        /** Opens the artifact in a folder of the app's assets. Throws IllegalArgumentException with what is wrong. */
        fun fromAssets(assets: AssetManager, folder: String, threads: Int = 2, fp16: Boolean = false): SkySegmenter {
            val files = listOf("model.json", "model.param", "model.bin").map { name ->
                assets.open("$folder/$name").use { it.readBytes() }
            }
            val (param, bin) = files.drop(1).map { ByteBuffer.allocateDirect(it.size).put(it) }
            return SkySegmenter(nativeCreate(files[0], param, bin, threads, fp16))
        }

        @JvmStatic
        private external fun nativeCreate(json: ByteArray, param: ByteBuffer, bin: ByteBuffer, threads: Int, fp16: Boolean): Long

        @JvmStatic
        private external fun nativeSegment(
            handle: Long, y: ByteBuffer, u: ByteBuffer, v: ByteBuffer, width: Int, height: Int, yStride: Int, uvStride: Int,
            uvPixelStride: Int, rotation: Int, alpha: ByteBuffer, maskWidth: Int, maskHeight: Int,
        )

        @JvmStatic
        private external fun nativeDestroy(handle: Long)
    }
}
