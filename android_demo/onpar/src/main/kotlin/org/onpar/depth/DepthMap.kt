package org.onpar

/** Distances in millimetres from the viewer, 0 where nothing was measured; values up to 65535 as in a 16-bit PNG. */
class DepthMap(val width: Int, val height: Int, val millimetres: ShortArray) {
    init {
        checkSize(width, height)
        if (millimetres.size != width * height) {
            throw BadInput("depth map has ${millimetres.size} values; ${width}x$height pixels need one each")
        }
    }

    /** Distance at an index, 0 to 65535. */
    fun at(index: Int): Int = millimetres[index].toInt() and 0xffff
}
