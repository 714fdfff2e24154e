package org.onpar

import kotlin.math.exp

typealias Tensors = Map<String, FloatArray>

/** What a decoder may look at besides the tensors. */
class Context(val manifest: Manifest, val region: Region, val pictureWidth: Int, val pictureHeight: Int)

internal fun output(outputs: Tensors, name: String): FloatArray =
    outputs[name] ?: throw BundleInvalid("the artifact gave no output '$name'; export the bundle again")

fun softmax(logits: FloatArray): FloatArray {
    val largest = logits.max()
    val powers = FloatArray(logits.size) { exp(logits[it] - largest) }
    val total = powers.sum()
    return FloatArray(logits.size) { powers[it] / total }
}
