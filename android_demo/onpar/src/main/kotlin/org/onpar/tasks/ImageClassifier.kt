package org.onpar

data class Score(val label: String, val probability: Float)

/** What a picture shows; [scores] holds every class, most probable first. Below [threshold] it shows none of them. */
class Classification(val scores: List<Score>, val threshold: Float = 0f) {
    val label: String get() = scores[0].label
    val score: Float get() = scores[0].probability

    /** False where the picture shows none of the classes. */
    val known: Boolean get() = score >= threshold
}

fun toClassification(outputs: Tensors, context: Context): Classification {
    val manifest = context.manifest
    val probabilities = softmax(output(outputs, "logits"))
    if (manifest.labels.isEmpty() || manifest.labels.size != probabilities.size) {
        throw BundleInvalid("${manifest.id} has ${manifest.labels.size} labels for ${probabilities.size} classes; export again")
    }
    // Stable: equal scores keep the order of the labels.
    val scores = manifest.labels.mapIndexed { i, label -> Score(label, probabilities[i]) }.sortedByDescending { it.probability }
    return Classification(scores, manifest.postprocess.threshold ?: 0f)
}

/** What a picture shows. */
class ImageClassifier private constructor(bundle: Bundle, runner: Runner) :
    PictureTask<Classification>(bundle, runner, ::toClassification) {
    companion object : TaskFactory<ImageClassifier>("Classification", ::ImageClassifier)
}
