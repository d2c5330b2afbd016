package io.skyedge

import android.content.res.AssetManager
import android.graphics.Rect
import android.media.Image
import java.io.Closeable
import java.nio.ByteBuffer

/** The sky network. One per stream of frames; calls wait for each other. */
class SkySegmenter private constructor(private var handle: Long) : Closeable {

    /** Alpha of the upright, cropped frame, [width] x [height], 255 is sky. The buffer is written again by the next frame. */
    class Mask(val alpha: ByteBuffer, val width: Int, val height: Int)

    /** What was asked for and is not used, and why, one line each; empty if all is used. */
    val notes: String = nativeNotes(handle)

    private var mask = Mask(ByteBuffer.allocateDirect(1), 1, 1)

    /**
     * Segments the part [crop] of a frame of YUV_420_888, in pixels before it is turned by [rotation] degrees to be upright. The mask
     * has [side] pixels on its longer side, for a shader to enlarge.
     */
    @Synchronized
    fun segment(image: Image, rotation: Int, crop: Rect = Rect(0, 0, image.width, image.height), side: Int = 320): Mask {
        check(handle != 0L) { "got a SkySegmenter that was closed, expected an open one" }
        val turned = rotation % 180 != 0
        val wide = if (turned) crop.height() else crop.width()
        val high = if (turned) crop.width() else crop.height()
        val width = maxOf(1, wide * side / maxOf(1, wide, high))
        val height = maxOf(1, high * side / maxOf(1, wide, high))
        if (mask.width != width || mask.height != height) {
            mask = Mask(ByteBuffer.allocateDirect(width * height), width, height)
        }
        val (y, u, v) = image.planes
        nativeSegment(
            handle, y.buffer, u.buffer, v.buffer,
            intArrayOf(
                image.width, image.height, y.rowStride, u.rowStride, u.pixelStride, rotation,
                crop.left, crop.top, crop.width(), crop.height(), width, height
            ),
            mask.alpha
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

        /**
         * Opens the artifact in a folder of the app's assets. [fp16] is tried on its golden pair, and [notes] say if it is not used.
         * Throws IllegalArgumentException with what is wrong.
         */
        fun fromAssets(assets: AssetManager, folder: String, threads: Int = 2, fp16: Boolean = false): SkySegmenter {
            val present = assets.list(folder).orEmpty()
            val files = listOf("model.json", "model.param", "model.bin", "golden_in.npy", "golden_out.npy").map { name ->
                if (name !in present) null
                else assets.open("$folder/$name").use { it.readBytes() }.let { ByteBuffer.allocateDirect(it.size).put(it) }
            }
            return SkySegmenter(nativeCreate(files.toTypedArray(), threads, fp16))
        }

        @JvmStatic
        private external fun nativeCreate(files: Array<ByteBuffer?>, threads: Int, fp16: Boolean): Long

        @JvmStatic
        private external fun nativeNotes(handle: Long): String

        /** [sizes]: width, height, row strides of Y and of U and V, pixel stride of U and V, rotation, crop, size of the mask. */
        @JvmStatic
        private external fun nativeSegment(
            handle: Long, y: ByteBuffer, u: ByteBuffer, v: ByteBuffer, sizes: IntArray, alpha: ByteBuffer
        )

        @JvmStatic
        private external fun nativeDestroy(handle: Long)
    }
}
