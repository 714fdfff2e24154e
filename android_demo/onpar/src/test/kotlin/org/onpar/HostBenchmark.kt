package org.onpar

import java.io.File
import kotlin.random.Random

/**
 * Times preprocessing and postprocessing of a 640x480 camera frame on this computer, warmed up. No figure of a phone.
 *
 * Arguments: folder of a classifier bundle, rounds.
 */
fun main(arguments: Array<String>) {
    val manifest = Bundle.open(File(arguments[0])).manifest
    val rounds = arguments[1].toInt()
    val noise = Random(0)
    val chroma = List(2) { Plane(noise.nextBytes(640 * 240), 640, 2) }
    val frame = YuvFrame(640, 480, Plane(noise.nextBytes(640 * 480), 640), chroma[0], chroma[1], 6)
    val preprocessor = PicturePreprocessor(manifest.preprocess)
    val outputs = mapOf("logits" to FloatArray(manifest.labels.size) { it.toFloat() })
    val samples = DoubleArray(rounds)
    for (round in -rounds until rounds) {
        val began = System.nanoTime()
        val region = preprocessor.run(frame)
        toClassification(outputs, Context(manifest, region, frame.width, frame.height))
        if (round >= 0) samples[round] = (System.nanoTime() - began) / 1e6
    }
    samples.sort()
    val (p50, p90) = samples[rounds / 2] to samples[rounds * 9 / 10]
    println("Kotlin pre+post, 640x480 frame: p50 %.2f ms, p90 %.2f ms, %d rounds".format(p50, p90, rounds))
}
