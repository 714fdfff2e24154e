package org.onpar.android

import android.content.res.AssetManager
import java.io.FileNotFoundException
import java.io.IOException
import org.onpar.BundleSource

/** A bundle among an app's assets, e.g. `AssetSource(context.assets, "classifier-android-fp16")`. */
class AssetSource(private val assets: AssetManager, private val folder: String) : BundleSource {
    override val name: String get() = folder.substringAfterLast('/')

    override fun read(path: String): ByteArray? =
        try {
            assets.open("$folder/$path").use { it.readBytes() }
        } catch (_: FileNotFoundException) {
            null
        }

    override fun paths(): List<String> = list(folder).map { it.removePrefix("$folder/") }

    /** An asset folder has entries, a file has none. */
    private fun list(path: String): List<String> =
        try {
            val entries = assets.list(path).orEmpty()
            if (entries.isEmpty()) listOf(path) else entries.flatMap { list("$path/$it") }
        } catch (_: IOException) {
            emptyList()
        }
}
