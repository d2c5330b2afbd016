package io.skyedge.sample

import android.Manifest
import android.graphics.Bitmap
import android.graphics.Color
import android.os.Bundle
import android.util.Log
import android.widget.FrameLayout
import android.widget.ImageView
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts.RequestPermission
import androidx.annotation.OptIn
import androidx.camera.core.CameraSelector
import androidx.camera.core.ExperimentalGetImage
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.core.Preview
import androidx.camera.core.UseCaseGroup
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.core.content.ContextCompat
import io.skyedge.SkySegmenter
import java.nio.ByteBuffer
import java.util.concurrent.Executors

/** The camera's preview with the sky in blue. */
class MainActivity : ComponentActivity() {
    private lateinit var preview: PreviewView
    private lateinit var overlay: ImageView
    private lateinit var sky: SkySegmenter
    private val worker = Executors.newSingleThreadExecutor()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        sky = SkySegmenter.fromAssets(assets, "model", fp16 = true)
        if (sky.notes.isNotEmpty()) Log.i("skyedge", sky.notes)
        preview = PreviewView(this)
        // The mask covers what the preview shows, since both have one ViewPort.
        overlay = ImageView(this).apply { scaleType = ImageView.ScaleType.FIT_XY; setColorFilter(Color.BLUE); alpha = 0.5f }
        setContentView(FrameLayout(this).apply { addView(preview); addView(overlay) })
        registerForActivityResult(RequestPermission()) { if (it) preview.post(::start) else finish() }
            .launch(Manifest.permission.CAMERA)
    }

    /** Runs after the first layout: before it the preview has no ViewPort. */
    private fun start() {
        val providers = ProcessCameraProvider.getInstance(this)
        providers.addListener({
            val analysis = ImageAnalysis.Builder().setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST).build()
            analysis.setAnalyzer(worker) { image -> image.use(::show) }
            val view = Preview.Builder().build().apply { setSurfaceProvider(preview.surfaceProvider) }
            val both = UseCaseGroup.Builder().addUseCase(view).addUseCase(analysis).setViewPort(checkNotNull(preview.viewPort)).build()
            providers.get().bindToLifecycle(this, CameraSelector.DEFAULT_BACK_CAMERA, both)
        }, ContextCompat.getMainExecutor(this))
    }

    @OptIn(markerClass = [ExperimentalGetImage::class])
    private fun show(image: ImageProxy) {
        val mask = sky.segment(checkNotNull(image.image), image.imageInfo.rotationDegrees, image.cropRect)
        mask.alpha.rewind()
        val bitmap = Bitmap.createBitmap(mask.width, mask.height, Bitmap.Config.ALPHA_8)
        // A row of ALPHA_8 may be padded, and copyPixelsFromBuffer wants the padding.
        val padded = ByteArray(bitmap.rowBytes * mask.height)
        for (y in 0 until mask.height) mask.alpha.get(padded, y * bitmap.rowBytes, mask.width)
        bitmap.copyPixelsFromBuffer(ByteBuffer.wrap(padded))
        runOnUiThread { overlay.setImageBitmap(bitmap) }
    }

    override fun onDestroy() {
        super.onDestroy()
        worker.execute { sky.close() }  // after the frame that is at work
        worker.shutdown()
    }
}
