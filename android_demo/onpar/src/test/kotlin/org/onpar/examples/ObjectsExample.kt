package org.onpar

import java.io.File

/** The example of docs/embed.md. */
fun findObjects(folder: File, picture: PixelSource): List<String> {
    // docs: begin
    ObjectDetector.fromBundle(folder).use { detector ->
        val found = detector.detect(picture).value.objects
        return found.map { "${it.label} ${(100 * it.score).toInt()} %, from x ${it.boxPx[0].toInt()} to ${it.boxPx[2].toInt()}" }
    }
    // docs: end
}
