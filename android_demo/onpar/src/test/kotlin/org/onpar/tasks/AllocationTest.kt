package org.onpar

import java.lang.management.ManagementFactory
import kotlin.test.assertTrue
import org.junit.BeforeClass
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized
import org.junit.runners.Parameterized.Parameters

private const val WIDTH = 640
private const val HEIGHT = 480

/** Small objects that describe a result or pass it on; an array for a row of the picture alone would be larger. */
private const val SMALL_OBJECTS = 4096L

/** In video mode a frame costs the memory of its result and nothing else, so that the garbage collector has little to do. */
@RunWith(Parameterized::class)
class AllocationTest(name: String, private val open: () -> VideoCase) {
    /** One frame of a video, the bytes of its result, and how to close what works on it. */
    class VideoCase(val frame: (Long) -> Long, val close: () -> Unit)

    @Test
    fun `a frame allocates its result alone`() {
        val case = open()
        val threads = ManagementFactory.getThreadMXBean() as com.sun.management.ThreadMXBean
        val thread = Thread.currentThread().id
        try {
            for (i in 1L..WARM_UP) case.frame(i)
            var results = 0L
            val before = threads.getThreadAllocatedBytes(thread)
            for (i in 1L..FRAMES) results += case.frame(WARM_UP + i)
            val each = (threads.getThreadAllocatedBytes(thread) - before - results) / FRAMES
            assertTrue(each < SMALL_OBJECTS, "$each bytes a frame besides ${results / FRAMES} of the result")
        } finally {
            case.close()
        }
    }

    companion object {
        private const val WARM_UP = 40L
        private const val FRAMES = 20L

        private val noise = ByteArray(WIDTH * HEIGHT) { (it * 7919 shr 4).toByte() }
        private val chroma = Plane(noise, WIDTH / 2)
        private val camera = YuvFrame(WIDTH, HEIGHT, Plane(noise, WIDTH), chroma, chroma, 6)

        private fun bundle(model: String): Bundle = Bundle.open(bundleFolder(model))

        /** With a box that moves and grows and shrinks, as a face does. */
        private fun <I, T> task(detector: Task<I, T>, input: I, boxed: Boolean, bytesOf: (T) -> Int): VideoCase {
            val boxes = List(8) { Box(20.0 + 3 * it, 30.0 + 2 * it, 300.0 + 20 * (it % 4), 310.0 + 25 * (it % 3)) }
            return VideoCase({ bytesOf(detector.detectForVideo(input, it, if (boxed) boxes[(it % 8).toInt()] else null)!!.value).toLong() }, detector::close)
        }

        private fun case(name: String, open: () -> VideoCase): Array<Any> = arrayOf(name, open)

        private fun faces(): Picture = bundle("face_detector").let { Png.picture(it.file(it.manifest.golden[0].raw)) }

        @JvmStatic
        @Parameters(name = "{0}")
        fun cases(): List<Array<Any>> =
            listOf(
                // 16 bytes an object, 8 a reference.
                case("a class") { task(ImageClassifier.fromBundle(bundle("classifier")), camera, false) { 32 * it.scores.size } },
                case("a class in a moving box") { task(ImageClassifier.fromBundle(bundle("classifier")), camera, true) { 32 * it.scores.size } },
                case("faces") { task(FaceDetector.fromBundle(bundle("face_detector")), faces(), false) { 200 * it.faces.size } },
                case("points in a moving box") {
                    task(FaceKeypointDetector.fromBundle(bundle("template_keypoints")), camera, true) { 4 * (it.pointsPx.size + it.templatePointsPx.size) }
                },
                case("a mask") { task(SaliencySegmenter.fromBundle(bundle("saliency")), camera, false) { 4 * it.values.size } },
                case("a mask in a moving box") { task(SaliencySegmenter.fromBundle(bundle("saliency")), camera, true) { 4 * it.values.size } },
                case("a solid") {
                    val bundle = bundle("voxel64")
                    task(DepthVoxelizer.fromBundle(bundle), Png.depthMap(bundle.file(bundle.manifest.golden[0].raw)), false) { 4 * it.occupancy.size }
                },
                case("a mesh in a moving box") {
                    task(FaceReconstructor.fromBundle(bundle("face3d")), camera, true) { 4 * (it.verticesPx.size + it.neutral.size) }
                },
                case("faces that are followed") {
                    val picture = faces()
                    val pipeline = FaceKeypointDetector.fromBundles(bundle("face_detector"), bundle("template_keypoints"))
                    // Two sets of points and the thumbnail, and as much again for the squares that are compared.
                    VideoCase({ time -> pipeline.detectForVideo(picture, time)!!.value.sumOf { 8L * (2 * it.pointsPx.size + it.thumbnail.size) } }, pipeline::close)
                },
                case("meshes of all faces") {
                    val picture = faces()
                    val pipeline = FaceReconstructor.fromBundles(bundle("face_detector"), bundle("face3d"))
                    VideoCase({ time -> pipeline.detectForVideo(picture, time)!!.value.sumOf { 4L * (it.verticesPx.size + it.neutral.size) + 2048 } }, pipeline::close)
                },
            )

        @JvmStatic @BeforeClass fun libraries() = useLibraries()
    }
}
