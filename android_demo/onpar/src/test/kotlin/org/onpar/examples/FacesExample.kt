package org.onpar

import java.io.File

/** The example of docs/embed.md. */
fun findFaces(detector: File, keypoints: File, frames: List<PixelSource>): List<String> {
    val told = mutableListOf<String>()
    // docs: begin
    FaceKeypointDetector.fromBundles(detector, keypoints).use { faces ->
        for ((i, frame) in frames.withIndex()) {
            val found = faces.detectForVideo(frame, timestampMs = 33L * i)?.value ?: continue
            for (face in found) told += "${face.pointsPx.size / 2} points, followed: ${face.tracked}"
        }
    }
    // docs: end
    return told
}
