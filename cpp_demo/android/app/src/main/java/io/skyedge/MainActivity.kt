package io.skyedge

import android.Manifest
import android.graphics.Bitmap
import android.graphics.Color
import android.os.Bundle
import android.widget.FrameLayout
import android.widget.ImageView
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts.RequestPermission
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.core.Preview
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.core.content.ContextCompat
import java.util.concurrent.Executors

/** The camera's preview with the sky in blue. */
class MainActivity : ComponentActivity() {
    private lateinit var preview: PreviewView
    private lateinit var overlay: ImageView
    private lateinit var sky: SkySegmenter
    private val worker = Executors.newSingleThreadExecutor()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        sky = SkySegmenter.fromAssets(assets, "model")
        preview = PreviewView(this)
        overlay = ImageView(this).apply { scaleType = ImageView.ScaleType.CENTER_CROP; setColorFilter(Color.BLUE); alpha = 0.5f }
        setContentView(FrameLayout(this).apply { addView(preview); addView(overlay) })
        registerForActivityResult(RequestPermission()) { if (it) start() else finish() }.launch(Manifest.permission.CAMERA)
    }

    private fun start() {
        val providers = ProcessCameraProvider.getInstance(this)
        providers.addListener({
            val analysis = ImageAnalysis.Builder().setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST).build()
            analysis.setAnalyzer(worker) { image -> image.use(::show) }
            val view = Preview.Builder().build().apply { setSurfaceProvider(preview.surfaceProvider) }
            providers.get().bindToLifecycle(this, CameraSelector.DEFAULT_BACK_CAMERA, view, analysis)
        }, ContextCompat.getMainExecutor(this))
    }

    private fun show(image: ImageProxy) {
        val mask = sky.segment(image)
        mask.alpha.rewind()
        val bitmap = Bitmap.createBitmap(mask.width, mask.height, Bitmap.Config.ALPHA_8)
        // A row of ALPHA_8 may be padded, and copyPixelsFromBuffer wants the padding.
        val padded = ByteArray(bitmap.rowBytes * mask.height)
        for (y in 0 until mask.height) mask.alpha.get(padded, y * bitmap.rowBytes, mask.width)
        bitmap.copyPixelsFromBuffer(java.nio.ByteBuffer.wrap(padded))
        runOnUiThread { overlay.setImageBitmap(bitmap) }
    }

    override fun onDestroy() {
        super.onDestroy()
        worker.execute { sky.close() }  // after the frame that is at work
        worker.shutdown()
    }
}
