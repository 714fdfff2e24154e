package org.onpar

import java.io.File

/** The example of docs/embed.md. */
fun classify(folder: File, png: ByteArray): String {
    // docs: begin
    ImageClassifier.fromBundle(folder).use { classifier ->
        val detection = classifier.detect(Png.picture(png))
        return "${detection.value.label} ${(100 * detection.value.score).toInt()} %, ${detection.timings.inferenceMs} ms"
    }
    // docs: end
}
