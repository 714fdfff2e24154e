package org.onpar

/** LiteRT on the CPU, through its C API (onpar_litert.h). The same code runs on a phone and in the tests on a PC. */
class LiteRtRunner private constructor(private var handle: Long, private val manifest: Manifest, private val entry: ModelFile) : Runner {
    override val backend: String = "LiteRT CPU"

    /** What the model reads and writes, in the artifact's types, kept from run to run. */
    private val given = arrayOfNulls<Any>(entry.inputs.size)
    private val arrays: Array<Any> = Array(entry.outputs.size) { arrayFor(entry.outputs[it]) }
    private val floats: Map<String, FloatArray> =
        entry.outputs.withIndex().associate { (i, tensor) -> tensor.name to (arrays[i] as? FloatArray ?: FloatArray(tensor.size)) }

    override fun run(input: FloatArray): Tensors {
        val only = entry.inputs.singleOrNull()?.takeIf { it.dtype == DType.FLOAT32 }
        if (only == null) {
            throw BadInput("${entry.file} takes ${entry.inputs.joinToString { "${it.dtype.text} '${it.name}'" }}; open it with TensorModel")
        }
        if (handle != 0L && input.size != only.size) throw BadInput("input has ${input.size} values; ${entry.file} needs ${only.size}")
        given[0] = input
        call()
        for (i in arrays.indices) if (arrays[i] !is FloatArray) copyNumbers(arrays[i], floats.getValue(entry.outputs[i].name))
        return floats
    }

    override fun runTensors(inputs: NamedValues): NamedValues {
        checkInputs(manifest.inputs, inputs)
        for ((i, tensor) in entry.inputs.withIndex()) given[i] = toArtifact(inputs.getValue(tensor.name), tensor.dtype, tensor.name)
        call()
        val types = manifest.outputs.associate { it.name to it.dtype }
        return entry.outputs.withIndex().associate { (i, tensor) -> tensor.name to toNetwork(arrays[i], types.getValue(tensor.name)) }
    }

    private fun call() {
        if (handle == 0L) throw BadInput("the runner is closed; open the bundle again")
        val status = LiteRtNative.run(handle, given, arrays)
        if (status != 0) throw BackendUnavailable("LiteRT could not run ${entry.file} (status $status); restart the app")
    }

    private fun copyNumbers(from: Any, to: FloatArray) {
        for (i in to.indices) to[i] = numberAt(from, i).toFloat()
    }

    override fun close() {
        if (handle != 0L) LiteRtNative.close(handle)
        handle = 0L
    }

    companion object {
        /** In an app, Gradle packs both libraries; elsewhere give their paths with [useLibraries]. */
        fun load(bundle: Bundle): LiteRtRunner {
            val entry =
                bundle.artifact("litert") ?: throw BackendUnavailable("${bundle.name} holds no .tflite file; export it with --target android")
            val tensors = entry.inputs + entry.outputs
            val names = tensors.map { it.name }.toTypedArray()
            val types = IntArray(names.size) { TYPES.getValue(tensors[it].dtype) }
            val sizes = LongArray(names.size) { tensors[it].size.toLong() }
            val content = bundle.file(entry.file)
            if (content.size < 8 || String(content, 4, 4, Charsets.US_ASCII) != "TFL3") {
                throw BundleInvalid("${entry.file} is no .tflite file; export the bundle again")
            }
            LiteRtNative.loadLibrary()
            try {
                val handle = LiteRtNative.open(LiteRtNative.runtime, content, entry.inputs.size, names, types, sizes)
                return LiteRtRunner(handle, bundle.manifest, entry)
            } catch (error: RuntimeTooOld) {
                throw RuntimeTooOld(
                    "LiteRT can't load ${entry.file} (${error.message}); it needs ${entry.minimumRuntime}, or the file is " +
                        "damaged: export again",
                )
            }
        }

        /** LiteRT's own numbers. */
        private val TYPES =
            mapOf(
                DType.FLOAT32 to 1, DType.INT32 to 2, DType.UINT8 to 3, DType.INT64 to 4, DType.BOOL to 6, DType.FLOAT16 to 10,
            )

        private fun arrayFor(tensor: TensorEntry): Any =
            when (tensor.dtype) {
                DType.FLOAT32 -> FloatArray(tensor.size)
                DType.FLOAT16 -> ShortArray(tensor.size)
                DType.INT32 -> IntArray(tensor.size)
                DType.INT64 -> LongArray(tensor.size)
                DType.UINT8 -> ByteArray(tensor.size)
                DType.BOOL -> BooleanArray(tensor.size)
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
        inputs: Int,
        names: Array<String>,
        types: IntArray,
        sizes: LongArray,
    ): Long

    external fun run(handle: Long, inputs: Array<Any?>, outputs: Array<Any>): Int

    external fun close(handle: Long)
}
