package org.onpar

import java.io.File

/** The example of docs/embed.md. */
fun reconstructFaces(detector: File, face3d: File, picture: PixelSource): List<String> {
    val told = mutableListOf<String>()
    // docs: begin
    FaceReconstructor.fromBundles(detector, face3d).use { reconstructor ->
        for (face in reconstructor.detect(picture).value) {
            told += "${face.verticesPx.size / 3} vertices, turned by ${face.poseDegrees.yaw.toInt()} degrees"
        }
    }
    // docs: end
    return told
}
