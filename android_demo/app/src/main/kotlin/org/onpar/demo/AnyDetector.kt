package org.onpar.demo

import org.onpar.BadInput
import org.onpar.Bundle
import org.onpar.DepthEstimator
import org.onpar.DepthMap
import org.onpar.DepthVoxelizer
import org.onpar.Detection
import org.onpar.FaceDetector
import org.onpar.FaceKeypointDetector
import org.onpar.FacePipeline
import org.onpar.FaceReconstructor
import org.onpar.ImageClassifier
import org.onpar.ImageEmbedder
import org.onpar.ImageSegmenter
import org.onpar.ImageToImage
import org.onpar.KeypointDetector
import org.onpar.ObjectDetector
import org.onpar.PixelSource
import org.onpar.Png
import org.onpar.SaliencySegmenter
import org.onpar.Task
import org.onpar.TaskFactory
import org.onpar.depthMap

/** The detector of a bundle; with a face_detector bundle beside one for faces, it finds all faces of a picture or frame. */
class AnyDetector private constructor(val bundle: Bundle, private val task: Task<*, *>, private val search: Search?) : AutoCloseable {
    /** Does it take pictures and frames? A depth detector shows the bundle's golden input instead. */
    val takesPictures: Boolean get() = bundle.manifest.preprocess.color == "RGB"

    @Suppress("UNCHECKED_CAST")
    fun detect(picture: PixelSource): Detection<*> = search?.detect?.invoke(picture) ?: (task as Task<PixelSource, *>).detect(picture)

    @Suppress("UNCHECKED_CAST")
    fun detectForVideo(frame: PixelSource, timestampMs: Long): Detection<*>? =
        if (search != null) search.detectForVideo(frame, timestampMs) else (task as Task<PixelSource, *>).detectForVideo(frame, timestampMs)

    /** The first golden input of the bundle; a face's crop already where it is one for faces. */
    @Suppress("UNCHECKED_CAST")
    fun detectGolden(): Detection<*> {
        val raw = bundle.file(bundle.manifest.golden[0].raw)
        return if (takesPictures) (task as Task<PixelSource, *>).detect(Png.picture(raw)) else (task as Task<DepthMap, *>).detect(Png.depthMap(raw))
    }

    override fun close() {
        search?.close?.invoke()
        task.close()
    }

    private class Search(
        val detect: (PixelSource) -> Detection<*>,
        val detectForVideo: (PixelSource, Long) -> Detection<*>?,
        val close: () -> Unit,
    )

    companion object {
        /** A new result type is one more line here and in [Shown]. */
        private val TASKS: Map<String, TaskFactory<*>> =
            mapOf(
                "Classification" to ImageClassifier,
                "FaceBoxes" to FaceDetector,
                "Keypoints" to FaceKeypointDetector,
                "Mask" to SaliencySegmenter,
                "VoxelGrid" to DepthVoxelizer,
                "FaceMesh" to FaceReconstructor,
                "Detections" to ObjectDetector,
                "Segmentation" to ImageSegmenter,
                "Depth" to DepthEstimator,
                "Points" to KeypointDetector,
                "Embedding" to ImageEmbedder,
                "NewPicture" to ImageToImage,
            )

        /** @param other opens the bundle of another model, if there is one. */
        fun open(bundle: Bundle, other: (model: String) -> Bundle?): AnyDetector {
            val result = bundle.manifest.postprocess.result
            val factory = TASKS[result] ?: throw BadInput("this app can't show a $result; update it")
            val task: Task<*, *> = factory.fromBundle(bundle)
            try {
                return AnyDetector(bundle, task, search(bundle, other))
            } catch (error: Throwable) {
                task.close()
                throw error
            }
        }

        private fun search(bundle: Bundle, other: (model: String) -> Bundle?): Search? {
            val judge by lazy { other(DETECTOR_REFINED) }
            val pipeline: FacePipeline<*> =
                when (bundle.manifest.postprocess.result) {
                    "FaceBoxes" -> FaceDetector.fromBundles(bundle, judge ?: return null)
                    "FaceMesh" -> FaceReconstructor.fromBundles(other(DETECTOR) ?: return null, bundle, detectorRefined = judge)
                    "Keypoints" -> {
                        // The refining network alone sees the crops of another one, never the detector's.
                        if (bundle.manifest.model == REFINED) return null
                        FaceKeypointDetector.fromBundles(other(DETECTOR) ?: return null, bundle, other(REFINED), detectorRefined = judge)
                    }
                    else -> return null
                }
            return pipeline.let { Search(it::detect, it::detectForVideo, it::close) }
        }

        private const val DETECTOR = "face_detector"
        private const val REFINED = "template_keypoints_refined"
        private const val DETECTOR_REFINED = "face_detector_refined"
    }
}
