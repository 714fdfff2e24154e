package org.onpar

import java.io.File
import kotlin.random.Random

/**
 * Times preprocessing and postprocessing of a 640x480 camera frame on this computer, warmed up. No figure of a phone.
 *
 * Arguments: rounds, folders of bundles.
 */
fun main(arguments: Array<String>) {
    val rounds = arguments[0].toInt()
    for (folder in arguments.drop(1)) time(Bundle.open(File(folder)).manifest, rounds)
}

private fun time(manifest: Manifest, rounds: Int) {
    val noise = Random(0)
    val chroma = List(2) { Plane(noise.nextBytes(640 * 240), 640, 2) }
    val frame = YuvFrame(640, 480, Plane(noise.nextBytes(640 * 480), 640), chroma[0], chroma[1], 6)
    val preprocessor = PicturePreprocessor(manifest.preprocess)
    val outputs = manifest.modelFiles[0].outputs.associate { it.name to FloatArray(it.size) { noise.nextFloat() } }
    val decode = decoder(manifest)
    val pre = DoubleArray(rounds)
    val post = DoubleArray(rounds)
    for (round in -rounds until rounds) {
        val began = System.nanoTime()
        val region = preprocessor.run(frame)
        val prepared = System.nanoTime()
        decode(outputs, Context(manifest, region, frame.width, frame.height))
        if (round < 0) continue
        pre[round] = (prepared - began) / 1e6
        post[round] = (System.nanoTime() - prepared) / 1e6
    }
    val both = DoubleArray(rounds) { pre[it] + post[it] }
    for (samples in listOf(pre, post, both)) samples.sort()
    println(
        "Kotlin pre+post of %s, 640x480 frame: best %.2f ms, p50 %.2f ms (%.2f + %.2f), %d rounds".format(
            manifest.model, both[0], both[rounds / 2], pre[rounds / 2], post[rounds / 2], rounds,
        ),
    )
}

private fun decoder(manifest: Manifest): (Tensors, Context) -> Any {
    val scaler = GridScaler()
    return when (manifest.postprocess.result) {
        "Classification" -> ::toClassification
        "Keypoints" -> ::toKeypoints
        "Mask" -> { outputs, context -> toMask(outputs, context, scaler) }
        else -> throw BadInput("no benchmark for ${manifest.postprocess.result}; allowed: Classification, Keypoints, Mask")
    }
}
