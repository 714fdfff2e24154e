package org.onpar

import java.io.File

/** Where a bundle's files come from: a folder, or an app's assets (`org.onpar.android.AssetSource`). */
interface BundleSource {
    val name: String

    /** The bytes of a file, or null if there is none. */
    fun read(path: String): ByteArray?

    /** All paths, where the source can list them. */
    fun paths(): List<String>?
}

class FolderSource(private val folder: File) : BundleSource {
    override val name: String get() = folder.name

    override fun read(path: String): ByteArray? = File(folder, path).takeIf { it.isFile }?.readBytes()

    override fun paths(): List<String> =
        folder.walkTopDown().filter { it.isFile }.map { it.relativeTo(folder).invariantSeparatorsPath }.toList()
}

/** A bundle: read, checked against its checksums and signature, and only then used. */
class Bundle private constructor(
    val name: String,
    val manifest: Manifest,
    val signature: SignatureState,
    /** SHA-256 of bundle.json: which very bundle this is. */
    val sha256: String,
    private val files: Map<String, ByteArray>,
) {
    /** A file that bundle.json lists. */
    fun file(path: String): ByteArray =
        files[path] ?: throw BundleInvalid("bundle.json does not list '$path'; export the bundle again")

    /** The artifact for a runtime, if the bundle has one. */
    fun artifact(runtime: String): ModelFile? = manifest.modelFiles.firstOrNull { it.runtime == runtime }

    /** The stored values of a golden tensor, see [NamedValues]: all of them, or every stride-th. */
    fun golden(tensor: GoldenTensor): Any {
        val content = file(tensor.file)
        val count = (tensor.tensor.size + tensor.stride - 1) / maxOf(tensor.stride, 1)
        if (tensor.stride < 1 || content.size != tensor.tensor.dtype.bytes * count) {
            throw BundleInvalid("${tensor.file} holds ${content.size} bytes, which does not fit its shape; export again")
        }
        return valuesOf(content, tensor.tensor.dtype)
    }

    companion object {
        private val UNLISTED = setOf("bundle.json", "SIGNATURE")

        /**
         * Read a bundle and check its signature and every checksum.
         *
         * @param trustedKey PEM of the public key that must have signed it.
         */
        fun open(source: BundleSource, trustedKey: String? = null): Bundle {
            val name = source.name
            val content =
                source.read("bundle.json")
                    ?: throw BundleNotFound("$name has no bundle.json; give a folder that sdk_build.export wrote")
            val manifest = Manifest.parse(content)
            val signature = source.read("SIGNATURE") ?: throw ChecksumMismatch("$name lacks SIGNATURE; get the bundle again")
            val state = verifySignature(content, signature, trustedKey)
            val files = manifest.files.associate { it.path to readChecked(source, it) }
            val unlisted = source.paths()?.firstOrNull { it !in files && it !in UNLISTED }
            if (unlisted != null) throw BundleInvalid("$name holds $unlisted, which bundle.json does not list; remove it")
            return Bundle(name, manifest, state, sha256(content), files)
        }

        fun open(folder: File, trustedKey: String? = null): Bundle = open(FolderSource(folder), trustedKey)

        private fun readChecked(source: BundleSource, entry: FileEntry): ByteArray {
            val content =
                source.read(entry.path) ?: throw ChecksumMismatch("${source.name} lacks ${entry.path}; get the bundle again")
            if (sha256(content) != entry.sha256) {
                throw ChecksumMismatch("${source.name}: ${entry.path} differs from its sha256; get the bundle again")
            }
            return content
        }
    }
}

internal fun demand(bundle: Bundle, result: String) {
    val given = bundle.manifest.postprocess.result
    if (given != result) throw BadInput("${bundle.name} gives $given; this class needs a bundle that gives $result")
}
