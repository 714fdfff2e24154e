package org.onpar

import java.io.File

/** The examples of docs/embed.md for networks that OnPar does not know. */
fun runTensors(folder: File, features: FloatArray): String {
    // docs: begin
    TensorModel.fromBundle(folder).use { model ->
        val outputs = model.run(mapOf("features" to features, "words" to longArrayOf(7))).value
        val scores = outputs.getValue("scores") as FloatArray
        return "${model.inputs.map { "${it.name} ${it.dtype.text}" }} give ${scores.size} scores"
    }
    // docs: end
}
