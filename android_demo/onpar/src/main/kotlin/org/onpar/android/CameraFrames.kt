package org.onpar.android

import android.graphics.ImageFormat
import android.media.Image
import java.nio.ByteBuffer
import org.onpar.BadInput
import org.onpar.Plane
import org.onpar.YuvFrame
import org.onpar.YuvRange

/** Turns camera images into frames without new memory: one image at a time, valid until the next. */
class CameraFrames {
    private var buffers = arrayOf(ByteArray(0), ByteArray(0), ByteArray(0))

    /**
     * @param rotationDegrees how far the image must be turned clockwise to be upright: 0, 90, 180 or 270.
     * @param mirrored true for a front camera, whose preview is mirrored.
     */
    fun frame(image: Image, rotationDegrees: Int, mirrored: Boolean = false): YuvFrame {
        if (image.format != ImageFormat.YUV_420_888) {
            throw BadInput("image has format ${image.format}; allowed: YUV_420_888")
        }
        val planes = image.planes.mapIndexed { i, plane -> Plane(copy(i, plane.buffer), plane.rowStride, plane.pixelStride) }
        return YuvFrame(image.width, image.height, planes[0], planes[1], planes[2], orientation(rotationDegrees, mirrored), YuvRange.FULL)
    }

    private fun copy(index: Int, buffer: ByteBuffer): ByteArray {
        val source = buffer.duplicate()
        if (buffers[index].size != source.remaining()) buffers[index] = ByteArray(source.remaining())
        source.get(buffers[index])
        return buffers[index]
    }

    companion object {
        /** The EXIF value of a rotation, with or without a mirror. */
        fun orientation(rotationDegrees: Int, mirrored: Boolean): Int =
            when (rotationDegrees) {
                0 -> if (mirrored) 2 else 1
                90 -> if (mirrored) 5 else 6
                180 -> if (mirrored) 4 else 3
                270 -> if (mirrored) 7 else 8
                else -> throw BadInput("rotation is $rotationDegrees degrees; allowed: 0, 90, 180, 270")
            }
    }
}
