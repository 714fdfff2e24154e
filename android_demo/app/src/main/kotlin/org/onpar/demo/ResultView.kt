package org.onpar.demo

import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.view.View
import org.onpar.Detection
import org.onpar.FaceBox
import org.onpar.FaceBoxes
import org.onpar.Keypoints

/** Lies over the preview or a picture and shows what was found; [sourceWidth] and [sourceHeight] are the picture's. */
class ResultView(context: Context) : View(context) {
    private var detection: Detection<*>? = null
    private var sourceWidth = 1
    private var sourceHeight = 1
    private val density = resources.displayMetrics.density
    private val text = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = Color.WHITE; textSize = 16 * density }
    private val ground = Paint().apply { color = Color.argb(190, 20, 22, 28) }
    private val frame =
        Paint(Paint.ANTI_ALIAS_FLAG).apply { color = Color.rgb(40, 200, 120); style = Paint.Style.STROKE; strokeWidth = 2 * density }
    private val dot = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = Color.rgb(255, 214, 10) }

    fun show(found: Detection<*>?, width: Int, height: Int) {
        detection = found
        sourceWidth = width
        sourceHeight = height
        contentDescription = describe(found?.value)
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        val found = detection ?: return
        val value = found.value
        if (value is Keypoints) drawPoints(canvas, value.pointsPx)
        if (value is FaceBoxes) value.faces.forEach { drawFace(canvas, it) }
        val t = found.timings
        val lines = listOf(describe(value), "%.1f + %.1f + %.1f ms, %s".format(t.preMs, t.inferenceMs, t.postMs, found.backend))
        val row = text.textSize * 1.4f
        canvas.drawRect(0f, height - row * (lines.size + 0.5f), width.toFloat(), height.toFloat(), ground)
        lines.forEachIndexed { i, line -> canvas.drawText(line, 12 * density, height - row * (lines.size - i - 0.7f), text) }
    }

    /** The picture fits into the view as in the preview: centred, whole. */
    private val fit get() = minOf(width / sourceWidth.toFloat(), height / sourceHeight.toFloat())
    private val startX get() = (width - sourceWidth * fit) / 2
    private val startY get() = (height - sourceHeight * fit) / 2

    private fun drawPoints(canvas: Canvas, pointsPx: FloatArray) {
        for (i in pointsPx.indices step 2) {
            canvas.drawCircle(startX + (pointsPx[i] + 0.5f) * fit, startY + (pointsPx[i + 1] + 0.5f) * fit, 2.5f * density, dot)
        }
    }

    private fun drawFace(canvas: Canvas, face: FaceBox) {
        val (x0, y0, x1, y1) = face.boxPx.map { it.toFloat() * fit }
        canvas.drawRect(startX + x0, startY + y0, startX + x1, startY + y1, frame)
        drawPoints(canvas, face.pointsPx)
    }
}
