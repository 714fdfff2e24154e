package org.onpar

/** LiteRT on the CPU, through its C API (onpar_litert.h). The same code runs on a phone and in the tests on a PC. */
class LiteRtRunner private constructor(private var handle: Long, private val entry: ModelFile) : Runner {
    override val backend: String = "LiteRT CPU"
    private val outputs: Map<String, FloatArray> = entry.outputs.associate { it.name to FloatArray(it.size) }
    private val arrays: Array<FloatArray> = entry.outputs.map { outputs.getValue(it.name) }.toTypedArray()
    private val inputSize = entry.inputs[0].size

    override fun run(input: FloatArray): Tensors {
        if (handle == 0L) throw BadInput("the runner is closed; open the bundle again")
        if (input.size != inputSize) throw BadInput("input has ${input.size} values; ${entry.file} needs $inputSize")
        val status = LiteRtNative.run(handle, input, arrays)
        if (status != 0) throw BackendUnavailable("LiteRT could not run ${entry.file} (status $status); restart the app")
        return outputs
    }

    override fun close() {
        if (handle != 0L) LiteRtNative.close(handle)
        handle = 0L
    }

    companion object {
        /** In an app, Gradle packs both libraries; elsewhere give their paths with [useLibraries]. */
        fun load(bundle: Bundle): LiteRtRunner {
            val entry =
                bundle.artifact("litert")?.takeIf { it.inputs.size == 1 }
                    ?: throw BackendUnavailable("${bundle.name} holds no .tflite file; export it with --target android")
            val names = entry.outputs.map { it.name }.toTypedArray()
            val sizes = LongArray(names.size) { entry.outputs[it].size.toLong() }
            val input = entry.inputs[0]
            val content = bundle.file(entry.file)
            if (content.size < 8 || String(content, 4, 4, Charsets.US_ASCII) != "TFL3") {
                throw BundleInvalid("${entry.file} is no .tflite file; export the bundle again")
            }
            LiteRtNative.loadLibrary()
            try {
                val handle = LiteRtNative.open(LiteRtNative.runtime, content, input.name, input.size.toLong(), names, sizes)
                return LiteRtRunner(handle, entry)
            } catch (error: RuntimeTooOld) {
                throw RuntimeTooOld(
                    "LiteRT can't load ${entry.file} (${error.message}); it needs ${entry.minimumRuntime}, or the file is " +
                        "damaged: export again",
                )
            }
        }

        /** Where the two libraries are, if not among the app's own: libonpar and LiteRT's. */
        fun useLibraries(onpar: String, liteRt: String) = LiteRtNative.use(onpar, liteRt)
    }
}

/** The functions of onpar_jni.c. */
internal object LiteRtNative {
    var runtime = "libLiteRt.so"
        private set
    private var ownLibrary: String? = null
    private var loaded = false

    @Synchronized
    fun use(onpar: String, liteRt: String) {
        ownLibrary = onpar
        runtime = liteRt
    }

    @Synchronized
    fun loadLibrary() {
        if (loaded) return
        try {
            val path = ownLibrary
            if (path == null) System.loadLibrary("onpar") else System.load(path)
        } catch (error: UnsatisfiedLinkError) {
            throw BackendUnavailable("libonpar can't be loaded (${error.message}); build the onpar module for this processor")
        }
        loaded = true
    }

    external fun open(
        library: String,
        content: ByteArray,
        inputName: String,
        inputSize: Long,
        outputNames: Array<String>,
        outputSizes: LongArray,
    ): Long

    external fun run(handle: Long, input: FloatArray, outputs: Array<FloatArray>): Int

    external fun close(handle: Long)
}
