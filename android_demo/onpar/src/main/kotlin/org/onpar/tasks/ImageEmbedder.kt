package org.onpar

import kotlin.math.sqrt

/** A picture as a vector, as the network gives it, near to those of pictures that are alike. */
class Embedding(val vector: FloatArray) {
    /** Cosine of the angle between two: 1 for alike, 0 where one is zero. */
    fun similarity(other: Embedding): Double {
        val norm = sqrt(dot(vector, vector)) * sqrt(dot(other.vector, other.vector))
        return if (norm == 0.0) 0.0 else dot(vector, other.vector) / norm
    }

    private fun dot(a: FloatArray, b: FloatArray): Double {
        var sum = 0.0
        for (i in a.indices) sum += a[i].toDouble() * b[i]
        return sum
    }
}

/** The output's only row: reference/tasks/embedding.py. */
fun toEmbedding(outputs: Tensors, context: Context): Embedding =
    Embedding(output(outputs, entryOf(context.manifest, 0).name).copyOf())

/** The vector of one picture. */
class ImageEmbedder private constructor(bundle: Bundle, runner: Runner) : PictureTask<Embedding>(bundle, runner, ::toEmbedding) {
    companion object : TaskFactory<ImageEmbedder>("Embedding", ::ImageEmbedder)
}
