package org.onpar.demo

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import android.view.Surface
import android.view.TextureView
import android.widget.FrameLayout
import org.onpar.OnParException
import org.onpar.android.CameraFrames

private const val WIDTH = 640
private const val HEIGHT = 480

/** The back camera with live results. Frames that come while one is worked on are dropped, never queued. */
class CameraScreen(context: Context, private val detector: AnyDetector, private val report: (String) -> Unit) :
    FrameLayout(context), TextureView.SurfaceTextureListener {
    private val preview = TextureView(context)
    private val result = ResultView(context)
    private val frames = CameraFrames()
    private val thread = HandlerThread("camera").apply { start() }
    private val handler = Handler(thread.looper)
    private val reader = ImageReader.newInstance(WIDTH, HEIGHT, ImageFormat.YUV_420_888, 2)
    private var camera: CameraDevice? = null
    private var rotation = 0

    init {
        addView(preview)
        addView(result)
        preview.surfaceTextureListener = this
        reader.setOnImageAvailableListener({ work(it) }, handler)
    }

    private fun work(source: ImageReader) {
        // acquireLatestImage drops what piled up.
        source.acquireLatestImage()?.use { image ->
            try {
                val frame = frames.frame(image, rotation)
                val found = detector.detectForVideo(frame, image.timestamp / 1_000_000) ?: return
                post { result.show(found, frame.width, frame.height) }
            } catch (error: OnParException) {
                post { report(error.message.orEmpty()) }
            }
        }
    }

    override fun onSurfaceTextureAvailable(texture: SurfaceTexture, width: Int, height: Int) = open(texture)

    override fun onSurfaceTextureSizeChanged(texture: SurfaceTexture, width: Int, height: Int) = Unit

    override fun onSurfaceTextureUpdated(texture: SurfaceTexture) = Unit

    override fun onSurfaceTextureDestroyed(texture: SurfaceTexture): Boolean {
        close()
        return true
    }

    /** The activity asks for the permission before it shows this screen. */
    @SuppressLint("MissingPermission")
    private fun open(texture: SurfaceTexture) {
        val manager = context.getSystemService(Context.CAMERA_SERVICE) as CameraManager
        try {
            val id = manager.cameraIdList.firstOrNull { isBack(manager, it) } ?: manager.cameraIdList.firstOrNull()
            if (id == null) return report("this device has no camera; choose a picture")
            rotation = manager.getCameraCharacteristics(id).get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0
            texture.setDefaultBufferSize(WIDTH, HEIGHT)
            manager.openCamera(id, Opened(Surface(texture)), handler)
        } catch (error: CameraAccessException) {
            report("the camera can't be opened (${error.message}); close other apps that use it")
        } catch (_: SecurityException) {
            report("no permission for the camera; allow it in the system's settings, or choose a picture")
        }
    }

    private fun isBack(manager: CameraManager, id: String): Boolean =
        manager.getCameraCharacteristics(id).get(CameraCharacteristics.LENS_FACING) == CameraCharacteristics.LENS_FACING_BACK

    private inner class Opened(private val surface: Surface) : CameraDevice.StateCallback() {
        override fun onOpened(device: CameraDevice) {
            camera = device
            val targets = listOf(surface, reader.surface)
            device.createCaptureSession(targets, Repeating(device, targets), handler)
        }

        override fun onDisconnected(device: CameraDevice) = device.close()

        override fun onError(device: CameraDevice, error: Int) {
            device.close()
            post { report("the camera stopped (error $error); open this screen again") }
        }
    }

    private inner class Repeating(private val device: CameraDevice, private val targets: List<Surface>) :
        CameraCaptureSession.StateCallback() {
        override fun onConfigured(session: CameraCaptureSession) {
            val request = device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
            targets.forEach(request::addTarget)
            session.setRepeatingRequest(request.build(), null, handler)
        }

        override fun onConfigureFailed(session: CameraCaptureSession) {
            post { report("the camera refused its settings; open this screen again") }
        }
    }

    fun close() {
        camera?.close()
        camera = null
        reader.close()
        thread.quitSafely()
    }
}
