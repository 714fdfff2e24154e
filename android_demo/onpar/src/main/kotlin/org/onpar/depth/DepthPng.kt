package org.onpar

import java.nio.ByteBuffer

/** A depth map from a PNG file: 16-bit grey, not interlaced, in millimetres. */
fun Png.depthMap(content: ByteArray): DepthMap {
    val image = decode(content)
    if (image.bits != 16 || image.color != 0) {
        throw BadInput("the PNG has ${image.bits} bits, colour type ${image.color}; a depth map is 16-bit grey, in millimetres")
    }
    val values = ShortArray(image.width * image.height)
    ByteBuffer.wrap(image.rows).asShortBuffer().get(values)
    return DepthMap(image.width, image.height, values)
}
