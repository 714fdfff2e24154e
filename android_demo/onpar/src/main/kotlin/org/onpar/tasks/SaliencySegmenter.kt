package org.onpar

/** The salient part of a picture: one value in [0, 1] for each of its pixels, row by row. */
class Mask(val width: Int, val height: Int, val values: FloatArray, val threshold: Float) {
    /** Share of the picture at or above the threshold. */
    val share: Double get() = values.count { it >= threshold } / values.size.toDouble()
}

fun toMask(outputs: Tensors, context: Context): Mask = toMask(outputs, context, GridScaler())

internal fun toMask(outputs: Tensors, context: Context, scaler: GridScaler): Mask {
    val spec = context.manifest.preprocess
    val mask = output(outputs, context.manifest.modelFiles[0].outputs[0].name)
    val values = scaler.scale(mask, spec.width, spec.height, context.region, context.pictureWidth, context.pictureHeight)
    return Mask(context.pictureWidth, context.pictureHeight, values, thresholdOf(context.manifest))
}

/** Which pixels belong to the salient object. */
class SaliencySegmenter private constructor(bundle: Bundle, runner: Runner, scaler: GridScaler) :
    PictureTask<Mask>(bundle, runner, { outputs, context -> toMask(outputs, context, scaler) }) {
    companion object : TaskFactory<SaliencySegmenter>("Mask", { bundle, runner -> SaliencySegmenter(bundle, runner, GridScaler()) })
}
