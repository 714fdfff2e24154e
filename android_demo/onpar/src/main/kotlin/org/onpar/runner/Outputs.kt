package org.onpar

import kotlin.math.exp

/** Outputs as a decoder of pictures reads them: class numbers are floats, too. */
typealias Tensors = Map<String, FloatArray>

/** What a decoder may look at besides the tensors. */
class Context(val manifest: Manifest, val region: Region, val pictureWidth: Int, val pictureHeight: Int)

internal fun output(outputs: Tensors, name: String): FloatArray =
    outputs[name] ?: throw BundleInvalid("the artifact gave no output '$name'; export the bundle again")

/** An output by its place, with its shape, type and unit. */
internal fun entryOf(manifest: Manifest, place: Int): TensorEntry =
    manifest.modelFiles[0].outputs.getOrNull(place)
        ?: throw BundleInvalid("${manifest.id} needs ${place + 1} outputs or more; export the bundle again")

fun softmax(logits: FloatArray): FloatArray {
    val largest = logits.max()
    val powers = FloatArray(logits.size) { exp(logits[it] - largest) }
    val total = powers.sum()
    return FloatArray(logits.size) { powers[it] / total }
}
