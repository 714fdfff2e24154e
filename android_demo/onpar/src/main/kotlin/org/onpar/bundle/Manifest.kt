package org.onpar

import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

/** bundle.json as typed data. Unknown and missing keys are refused, as in Python (docs/bundle.schema.json). */
class Manifest(
    val id: String,
    val model: String,
    val task: String,
    val description: String,
    val labels: List<String>,
    private val sampling: PreprocessSpec?,
    val postprocess: PostprocessSpec,
    val modelFiles: List<ModelFile>,
    val golden: List<GoldenCase>,
    /** What the proof of the artifacts allowed; the self-test uses the same. */
    val limits: List<Limit>,
    val files: List<FileEntry>,
    val weightsLicense: String,
) {
    /** False where the network takes tensors as they are: [preprocess] throws then. */
    val takesPicture: Boolean get() = sampling != null

    val preprocess: PreprocessSpec
        get() = sampling ?: throw BadInput("$id takes tensors, no picture; open it with TensorModel")

    /** The network's own inputs and outputs; a file may hold one in another type ([modelFiles]). */
    val inputs: List<TensorEntry> by lazy { ofNetwork(modelFiles[0].inputs) }
    val outputs: List<TensorEntry> by lazy { ofNetwork(modelFiles[0].outputs) }

    /** Golden tensors have the network's types, whatever a runtime made of them. */
    private fun ofNetwork(tensors: List<TensorEntry>): List<TensorEntry> =
        tensors.map { tensor ->
            golden[0].tensors.firstOrNull { it.tensor.name == tensor.name }?.let { TensorEntry(tensor.name, tensor.shape, it.tensor.dtype, tensor.unit) }
                ?: throw BundleInvalid("bundle.json has no golden '${tensor.name}'; export the bundle again")
        }

    companion object {
        const val FORMAT_VERSION = 1

        /** Read the bytes of bundle.json. */
        fun parse(content: ByteArray): Manifest {
            val document =
                try {
                    JSONObject(String(content, Charsets.UTF_8))
                } catch (error: JSONException) {
                    throw BundleInvalid("bundle.json is no JSON (${error.message}); export the bundle again")
                }
            val version = document.opt("format_version")
            if (version != FORMAT_VERSION) {
                throw BundleInvalid(
                    "bundle.json has format_version $version; allowed: $FORMAT_VERSION; update onpar or export again",
                )
            }
            return toManifest(Fields("bundle.json", document, TOP))
        }
    }
}

/** How a picture or depth map becomes the input tensor; [height] and [width] are those of the network. */
class PreprocessSpec(
    val height: Int,
    val width: Int,
    val color: String = "RGB",
    val resize: String = "cover",
    val boxGrow: Double = 0.0,
)

class PostprocessSpec(val result: String, val threshold: Float?)

/** [unit] says what a value means, e.g. `logit`, `xyxy_pixels`, `metres`. */
class TensorEntry(val name: String, val shape: List<Int>, val dtype: DType = DType.FLOAT32, val unit: String = "") {
    val size: Int get() = shape.fold(1) { a, b -> a * b }
}

class ModelFile(
    val file: String,
    val runtime: String,
    val precision: String,
    val minimumRuntime: String,
    val executedHereBy: String,
    val inputs: List<TensorEntry>,
    val outputs: List<TensorEntry>,
)

/** A golden tensor; with a stride above 1, the file holds every stride-th value, flat. */
class GoldenTensor(val file: String, val tensor: TensorEntry, val stride: Int)

/** [raw] is the picture or depth map of the first input; empty where the network takes tensors alone. */
class GoldenCase(val raw: String, val tensors: List<GoldenTensor>)

class Limit(val runtime: String, val output: String, val metric: String, val limit: Double)

class FileEntry(val path: String, val sha256: String)

// A question mark: older bundles of this format lack the key.
private const val TOP =
    "format_version id model task target precision document description labels preprocess postprocess model_files " +
        "golden parity accuracy accuracy_data tool_versions git_commit code_license weights_license spec files sounds?"
private const val PREPROCESS =
    "size color resize crop interpolation mean std box_grow layout orientation normalization"
private const val MODEL_FILE =
    "file runtime precision sha256 bytes minimum_runtime executed_here_by inputs outputs delegation " +
        "quantization? accuracy?"
private const val GOLDEN_TENSOR = "file case tensor shape stride dtype?"
private const val TENSOR = "name shape dtype layout unit value_range quantization_parameters"
/** The stages that judge a saved artifact. */
private val ARTIFACT_STAGES = setOf("lowered_vs_artifact", "float_vs_quantized")
private const val CHECK = "runtime stage output metric value limit passed"

private fun toManifest(top: Fields): Manifest {
    val manifest =
        Manifest(
            id = top.text("id"),
            model = top.text("model"),
            task = top.text("task"),
            description = top.text("description"),
            labels = top.texts("labels"),
            sampling = if (top.isNull("preprocess")) null else toPreprocess(top.fields("preprocess", PREPROCESS)),
            postprocess = toPostprocess(top.fields("postprocess", "result threshold")),
            modelFiles = top.each("model_files", MODEL_FILE).map(::toModelFile),
            golden = top.each("golden", "raw tensors").map(::toGoldenCase),
            limits = top.each("parity", CHECK).mapNotNull(::toLimit),
            files = top.each("files", "path sha256 bytes").map { FileEntry(safePath(it.text("path")), it.text("sha256")) },
            weightsLicense = top.text("weights_license"),
        )
    if (manifest.modelFiles.isEmpty() || manifest.golden.isEmpty()) {
        throw BundleInvalid("bundle.json lacks artifacts or golden inputs; export the bundle again")
    }
    manifest.inputs
    manifest.outputs // a tensor without a proof is refused now
    return manifest
}

private fun toPreprocess(item: Fields): PreprocessSpec {
    val size = item.integers("size")
    if (size.size != 2 || size.min() < 1) throw BundleInvalid("bundle.json: size is $size; allowed: height, width; export again")
    item.demand("crop", "center")
    item.demand("layout", "NCHW")
    item.demand("orientation", "exif")
    item.demand("normalization", "in_graph")
    val color = item.demand("color", "RGB", "DEPTH")
    item.demand("interpolation", if (color == "RGB") "bilinear_antialias" else "nearest")
    return PreprocessSpec(size[0], size[1], color, item.demand("resize", "cover", "contain", "stretch"), item.number("box_grow"))
}

private fun toPostprocess(item: Fields): PostprocessSpec =
    PostprocessSpec(item.text("result"), if (item.isNull("threshold")) null else item.number("threshold").toFloat())

private fun toModelFile(item: Fields): ModelFile =
    ModelFile(
        file = safePath(item.text("file")),
        runtime = item.text("runtime"),
        precision = item.text("precision"),
        minimumRuntime = item.text("minimum_runtime"),
        executedHereBy = item.text("executed_here_by"),
        inputs = item.each("inputs", TENSOR).map(::toTensor),
        outputs = item.each("outputs", TENSOR).map(::toTensor),
    )

private fun toTensor(item: Fields): TensorEntry =
    TensorEntry(item.text("name"), item.integers("shape"), toType(item), item.text("unit"))

private fun toType(item: Fields): DType =
    item.demand("dtype", *DType.entries.map { it.text }.toTypedArray()).let { text -> DType.entries.first { it.text == text } }

private fun toGoldenCase(item: Fields): GoldenCase =
    GoldenCase(
        item.text("raw"),
        item.each("tensors", GOLDEN_TENSOR).map {
            val dtype = if (it.has("dtype")) toType(it) else DType.FLOAT32
            GoldenTensor(safePath(it.text("file")), TensorEntry(it.text("tensor"), it.integers("shape"), dtype), it.integer("stride"))
        },
    )

private fun toLimit(item: Fields): Limit? =
    if (item.text("stage") !in ARTIFACT_STAGES || item.isNull("limit")) {
        null
    } else {
        Limit(item.text("runtime"), item.text("output"), item.text("metric"), item.number("limit"))
    }

internal fun thresholdOf(manifest: Manifest): Float =
    manifest.postprocess.threshold ?: throw BundleInvalid("${manifest.id} has no threshold; export the bundle again")

private fun safePath(path: String): String {
    if (path.startsWith("/") || ".." in path.split("/")) {
        throw BundleInvalid("bundle.json lists '$path', which lies outside the bundle; don't use this bundle")
    }
    return path
}

/** A JSON object whose keys are exactly the expected ones. */
private class Fields(val what: String, private val values: JSONObject, keys: String) {
    init {
        val allowed = keys.split(" ").map { it.removeSuffix("?") }.toSet()
        val needed = keys.split(" ").filterNot { it.endsWith("?") }.toSet()
        val present = values.keys().asSequence().map { it.toString() }.toSet()
        val faults = (present - allowed).map { "unknown '$it'" } + (needed - present).map { "no '$it'" }
        if (faults.isNotEmpty()) {
            throw BundleInvalid("$what has ${faults.joinToString()}; update onpar or export the bundle again")
        }
    }

    fun has(key: String): Boolean = values.has(key)

    fun isNull(key: String): Boolean = values.isNull(key)

    fun text(key: String): String = values.opt(key) as? String ?: wrong(key, "a text")

    fun number(key: String): Double = (values.opt(key) as? Number ?: wrong(key, "a number")).toDouble()

    fun integer(key: String): Int = values.opt(key) as? Int ?: wrong(key, "a whole number")

    fun texts(key: String): List<String> = list(key).map { it as? String ?: wrong(key, "a list of texts") }

    fun integers(key: String): List<Int> = list(key).map { it as? Int ?: wrong(key, "a list of whole numbers") }

    fun fields(key: String, keys: String): Fields =
        Fields("$what.$key", values.opt(key) as? JSONObject ?: wrong(key, "an object"), keys)

    fun each(key: String, keys: String): List<Fields> =
        list(key).mapIndexed { i, item -> Fields("$what.$key[$i]", item as? JSONObject ?: wrong(key, "a list of objects"), keys) }

    fun demand(key: String, vararg allowed: String): String {
        val value = text(key)
        if (value !in allowed) throw BundleInvalid("$what.$key is '$value'; allowed: ${allowed.joinToString()}; update onpar")
        return value
    }

    private fun list(key: String): List<Any?> {
        val array = values.opt(key) as? JSONArray ?: wrong(key, "a list")
        return List(array.length()) { array.get(it) }
    }

    private fun wrong(key: String, allowed: String): Nothing =
        throw BundleInvalid("$what.$key is ${values.opt(key)}; allowed: $allowed; export the bundle again")
}
