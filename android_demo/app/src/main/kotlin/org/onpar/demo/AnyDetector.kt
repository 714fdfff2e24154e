package org.onpar.demo

import org.onpar.BadInput
import org.onpar.Bundle
import org.onpar.Classification
import org.onpar.DepthMap
import org.onpar.DepthVoxelizer
import org.onpar.Detection
import org.onpar.FaceBoxes
import org.onpar.FaceDetector
import org.onpar.FaceKeypointDetector
import org.onpar.ImageClassifier
import org.onpar.Keypoints
import org.onpar.Mask
import org.onpar.PixelSource
import org.onpar.Png
import org.onpar.SaliencySegmenter
import org.onpar.Task
import org.onpar.VoxelGrid

/** The detector that a bundle's result needs; a new result type is one more line here and in [describe]. */
fun open(bundle: Bundle): Task<*, *> =
    when (val result = bundle.manifest.postprocess.result) {
        "Classification" -> ImageClassifier.fromBundle(bundle)
        "FaceBoxes" -> FaceDetector.fromBundle(bundle)
        "Keypoints" -> FaceKeypointDetector.fromBundle(bundle)
        "Mask" -> SaliencySegmenter.fromBundle(bundle)
        "VoxelGrid" -> DepthVoxelizer.fromBundle(bundle)
        else -> throw BadInput("this app can't show a $result; update it")
    }

/** Does it take pictures and frames? A depth detector shows the bundle's golden input instead. */
fun takesPictures(bundle: Bundle): Boolean = bundle.manifest.preprocess.color == "RGB"

@Suppress("UNCHECKED_CAST")
fun detect(detector: Task<*, *>, picture: PixelSource): Detection<*> = (detector as Task<PixelSource, *>).detect(picture)

@Suppress("UNCHECKED_CAST")
fun detectForVideo(detector: Task<*, *>, frame: PixelSource, timestampMs: Long): Detection<*>? =
    (detector as Task<PixelSource, *>).detectForVideo(frame, timestampMs)

/** The first golden input of a bundle. */
@Suppress("UNCHECKED_CAST")
fun detectGolden(detector: Task<*, *>): Detection<*> {
    val raw = detector.bundle.file(detector.bundle.manifest.golden[0].raw)
    if (takesPictures(detector.bundle)) return detect(detector, Png.picture(raw))
    return (detector as Task<DepthMap, *>).detect(Png.depthMap(raw))
}

/** A line for people. */
fun describe(value: Any?): String =
    when (value) {
        is Classification -> value.scores.take(3).joinToString { "%s %.0f %%".format(it.label, 100 * it.probability) }
        is FaceBoxes -> if (value.faces.size == 1) "1 face" else "${value.faces.size} faces"
        is Keypoints -> "${value.pointsPx.size / 2} points on the face"
        is Mask -> "%.0f %% of the picture stands out".format(100 * value.share)
        is VoxelGrid -> "${value.filledVoxels} of ${value.size}³ voxels filled"
        else -> ""
    }
