package org.onpar

/**
 * The picture that a network makes.
 *
 * [rgb] has three bytes a pixel, row by row, as [Picture] takes them; [region] is the part of the input picture that it was
 * made of.
 */
class NewPicture(val rgb: ByteArray, val width: Int, val height: Int, val region: Region)

/** Darkest and lightest value of each unit. */
private val RANGES = mapOf("zero_to_one" to (0f to 1f), "minus_one_to_one" to (-1f to 1f), "zero_to_255" to (0f to 255f))

/** The output as 8-bit RGB, values beyond its range cut off: reference/tasks/image_to_image.py. */
fun toNewPicture(outputs: Tensors, context: Context): NewPicture {
    val entry = entryOf(context.manifest, 0)
    val (low, high) = RANGES[entry.unit] ?: throw BadInput("unit of ${entry.name} is ${entry.unit}; allowed: ${RANGES.keys.joinToString()}")
    val (channels, height, width) = entry.shape.takeLast(3)
    val values = output(outputs, entry.name)
    val pixels = width * height
    val rgb = ByteArray(3 * pixels)
    for (i in 0 until pixels) {
        for (c in 0..2) {
            val share = ((values[minOf(c, channels - 1) * pixels + i] - low) / (high - low)).coerceIn(0f, 1f)
            rgb[3 * i + c] = (share * 255 + 0.5f).toInt().toByte()
        }
    }
    return NewPicture(rgb, width, height, context.region)
}

/** Another picture of one: styled, cleaned, enlarged. */
class ImageToImage private constructor(bundle: Bundle, runner: Runner) : PictureTask<NewPicture>(bundle, runner, ::toNewPicture) {
    companion object : TaskFactory<ImageToImage>("NewPicture", ::ImageToImage)
}
