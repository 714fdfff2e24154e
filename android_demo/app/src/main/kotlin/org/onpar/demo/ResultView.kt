package org.onpar.demo

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.RectF
import android.view.View
import org.onpar.Detection
import org.onpar.Mask

/** Lies over the preview or a picture and shows what was found; the picture's size is given with it. */
class ResultView(context: Context) : View(context) {
    private var detection: Detection<*>? = null
    private var shown = Shown("")
    private var dimmed: Bitmap? = null
    private var sourceWidth = 1
    private var sourceHeight = 1
    private val density = resources.displayMetrics.density
    private val text = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = Color.WHITE; textSize = 16 * density }
    private val ground = Paint().apply { color = Color.argb(190, 20, 22, 28) }
    private val frame = stroke(Color.rgb(40, 200, 120), 2f)
    private val wire = stroke(Color.argb(140, 120, 235, 190), 0.5f)
    private val dot = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = Color.rgb(255, 214, 10) }
    private val smooth = Paint(Paint.FILTER_BITMAP_FLAG)

    private fun stroke(tint: Int, width: Float) =
        Paint(Paint.ANTI_ALIAS_FLAG).apply { color = tint; style = Paint.Style.STROKE; strokeWidth = width * density }

    fun show(found: Detection<*>, width: Int, height: Int) {
        detection = found
        shown = Shown.of(found.value)
        dimmed = shown.mask?.let(::dim)
        sourceWidth = width
        sourceHeight = height
        contentDescription = shown.text
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        val found = detection ?: return
        canvas.save()
        // The picture fits into the view as in the preview: centred, whole.
        val fit = minOf(width / sourceWidth.toFloat(), height / sourceHeight.toFloat())
        canvas.translate((width - sourceWidth * fit) / 2, (height - sourceHeight * fit) / 2)
        dimmed?.let { canvas.drawBitmap(it, null, RectF(0f, 0f, sourceWidth * fit, sourceHeight * fit), smooth) }
        for (box in shown.boxesPx) {
            val (x0, y0, x1, y1) = box.map { it.toFloat() * fit }
            canvas.drawRect(x0, y0, x1, y1, frame)
        }
        for (lines in shown.linesPx) canvas.drawLines(FloatArray(lines.size) { (lines[it] + 0.5f) * fit }, wire)
        for (points in shown.pointsPx) {
            for (i in points.indices step 2) canvas.drawCircle((points[i] + 0.5f) * fit, (points[i + 1] + 0.5f) * fit, 2.5f * density, dot)
        }
        canvas.restore()
        drawText(canvas, found)
    }

    private fun drawText(canvas: Canvas, found: Detection<*>) {
        val t = found.timings
        val lines = listOf(shown.text, "%.1f + %.1f + %.1f ms, %s".format(t.preMs, t.inferenceMs, t.postMs, found.backend))
        val row = text.textSize * 1.4f
        canvas.drawRect(0f, height - row * (lines.size + 0.5f), width.toFloat(), height.toFloat(), ground)
        lines.forEachIndexed { i, line -> canvas.drawText(line, 12 * density, height - row * (lines.size - i - 0.7f), text) }
    }

    /** What is not salient is dimmed. */
    private fun dim(mask: Mask): Bitmap {
        val colors = IntArray(mask.values.size) { Color.argb((215 * (1 - mask.values[it])).toInt(), 24, 28, 44) }
        return Bitmap.createBitmap(colors, mask.width, mask.height, Bitmap.Config.ARGB_8888)
    }
}
