package org.onpar.demo

import android.graphics.Bitmap
import android.graphics.Matrix
import org.onpar.android.PickedPicture

/** The picked picture turned upright, for display; the library turns its pixels by itself. */
fun upright(picked: PickedPicture): Bitmap {
    val turn = Matrix()
    val mirrored = picked.orientation in setOf(2, 4, 5, 7)
    turn.postRotate(mapOf(3 to 180f, 4 to 180f, 5 to 90f, 6 to 90f, 7 to 270f, 8 to 270f)[picked.orientation] ?: 0f)
    if (mirrored) turn.postScale(-1f, 1f)
    val bitmap = picked.bitmap
    return Bitmap.createBitmap(bitmap, 0, 0, bitmap.width, bitmap.height, turn, true)
}
