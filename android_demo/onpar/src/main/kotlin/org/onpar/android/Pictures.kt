package org.onpar.android

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.net.Uri
import java.io.IOException
import org.onpar.BadInput
import org.onpar.Picture

private const val EXIF_ORIENTATION = "Orientation"

/** The pixels of a bitmap; the orientation is that of [readPicture], or 1 for what is upright. */
fun Bitmap.toPicture(orientation: Int = 1): Picture {
    if (width == 0 || height == 0) throw BadInput("bitmap is ${width}x$height pixels; give one with pixels")
    val colors = IntArray(width * height)
    val readable = if (config == Bitmap.Config.ARGB_8888) this else copy(Bitmap.Config.ARGB_8888, false)
    readable.getPixels(colors, 0, width, 0, 0, width, height)
    val bytes = ByteArray(colors.size * 4)
    colors.forEachIndexed { i, color ->
        bytes[4 * i] = (color shr 16).toByte()
        bytes[4 * i + 1] = (color shr 8).toByte()
        bytes[4 * i + 2] = color.toByte()
        bytes[4 * i + 3] = (color ushr 24).toByte()
    }
    return Picture(width, height, bytes, orientation)
}

/** A picture that the user picked, as stored, with its EXIF orientation. */
class PickedPicture(val bitmap: Bitmap, val orientation: Int) {
    fun toPicture(): Picture = bitmap.toPicture(orientation)
}

/** Read a picked picture, at most about [longest] pixels a side: a phone's camera makes larger ones than a model needs. */
fun readPicture(resolver: ContentResolver, uri: Uri, longest: Int = 2048): PickedPicture {
    try {
        val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        resolver.openInputStream(uri)?.use { BitmapFactory.decodeStream(it, null, bounds) }
        val options = BitmapFactory.Options().apply { inSampleSize = maxOf(1, maxOf(bounds.outWidth, bounds.outHeight) / longest) }
        val bitmap = resolver.openInputStream(uri)?.use { BitmapFactory.decodeStream(it, null, options) }
        if (bitmap == null) throw BadInput("the file is no picture that Android can read; pick another")
        return PickedPicture(bitmap, orientation(resolver, uri))
    } catch (error: IOException) {
        throw BadInput("the file can't be read (${error.message}); pick another")
    }
}

/** EXIF value of a picture; 1 where it states none. */
private fun orientation(resolver: ContentResolver, uri: Uri): Int {
    val file = resolver.openFileDescriptor(uri, "r") ?: return 1
    // The constructor with a stream needs API 24; this one works on every version that has the file.
    return file.use {
        val exif = android.media.ExifInterface("/proc/self/fd/${it.fd}")
        exif.getAttributeInt(EXIF_ORIENTATION, 1).coerceIn(1, 8)
    }
}
