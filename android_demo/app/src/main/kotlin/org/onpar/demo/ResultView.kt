package org.onpar.demo

import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.view.View
import org.onpar.Detection
import org.onpar.Keypoints

/** Lies over the preview or a picture and shows what was found; [sourceWidth] and [sourceHeight] are the picture's. */
class ResultView(context: Context) : View(context) {
    private var detection: Detection<*>? = null
    private var sourceWidth = 1
    private var sourceHeight = 1
    private val density = resources.displayMetrics.density
    private val text = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = Color.WHITE; textSize = 16 * density }
    private val ground = Paint().apply { color = Color.argb(190, 20, 22, 28) }
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
        if (value is Keypoints) drawPoints(canvas, value)
        val t = found.timings
        val lines = listOf(describe(value), "%.1f + %.1f + %.1f ms, %s".format(t.preMs, t.inferenceMs, t.postMs, found.backend))
        val row = text.textSize * 1.4f
        canvas.drawRect(0f, height - row * (lines.size + 0.5f), width.toFloat(), height.toFloat(), ground)
        lines.forEachIndexed { i, line -> canvas.drawText(line, 12 * density, height - row * (lines.size - i - 0.7f), text) }
    }

    /** Fits the picture into the view as the preview does: centred, whole. */
    private fun drawPoints(canvas: Canvas, face: Keypoints) {
        val scale = minOf(width / sourceWidth.toFloat(), height / sourceHeight.toFloat())
        val left = (width - sourceWidth * scale) / 2
        val top = (height - sourceHeight * scale) / 2
        for (i in face.pointsPx.indices step 2) {
            canvas.drawCircle(left + (face.pointsPx[i] + 0.5f) * scale, top + (face.pointsPx[i + 1] + 0.5f) * scale, 2.5f * density, dot)
        }
    }
}
