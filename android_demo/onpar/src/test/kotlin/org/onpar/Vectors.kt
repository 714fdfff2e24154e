package org.onpar

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Base64
import kotlin.math.abs
import org.json.JSONArray
import org.json.JSONObject

/** The repository's root; `-Donpar.root` says where it is. */
val ROOT = File(System.getProperty("onpar.root", "."))

/** The bundles that the tests run; `-Donpar.bundles` says where they are. */
val BUNDLES = File(System.getProperty("onpar.bundles", "build/apps/bundles"))

private val vectors by lazy { JSONObject(File(ROOT, "tests/vectors/vectors.json").readText()) }

/** Cases as (name, JSON) rows for JUnit's Parameterized. */
fun cases(group: String, name: (JSONObject) -> String = { it.getString("name") }): List<Array<Any>> =
    vectors.getJSONArray(group).objects().map { arrayOf(name(it), it) }

fun JSONArray.objects(): List<JSONObject> = List(length()) { getJSONObject(it) }

fun JSONArray.strings(): List<String> = List(length()) { getString(it) }

fun JSONArray.doubles(): List<Double> = List(length()) { getDouble(it) }

fun bytes(text: String): ByteArray = Base64.getDecoder().decode(text)

fun floats(text: String): FloatArray {
    val buffer = ByteBuffer.wrap(bytes(text)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
    return FloatArray(buffer.remaining()).also { buffer.get(it) }
}

fun ints(text: String): IntArray {
    val buffer = ByteBuffer.wrap(bytes(text)).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer()
    return IntArray(buffer.remaining()).also { buffer.get(it) }
}

fun doubles(values: FloatArray): DoubleArray = DoubleArray(values.size) { values[it].toDouble() }

fun spec(json: JSONObject): PreprocessSpec {
    val size = json.getJSONArray("size").doubles()
    return PreprocessSpec(size[0].toInt(), size[1].toInt(), json.getString("color"), json.getString("resize"), json.getDouble("box_grow"))
}

fun region(values: JSONArray): Region = values.doubles().let { Region(it[0], it[1], it[2], it[3]) }

fun box(case: JSONObject): Box? = case.optJSONArray("box")?.doubles()?.let { Box(it[0], it[1], it[2], it[3]) }

fun picture(case: JSONObject): Picture =
    Picture(case.getInt("width"), case.getInt("height"), bytes(case.getString("rgb")), case.getInt("orientation"))

fun frame(case: JSONObject, orientation: Int = case.getInt("orientation")): YuvFrame {
    val planes = case.getJSONObject("planes")
    fun plane(name: String): Plane {
        val plane = planes.getJSONObject(name)
        return Plane(bytes(plane.getString("data")), plane.getInt("row_stride"), plane.getInt("pixel_stride"))
    }
    val range = YuvRange.entries.firstOrNull { it.name.lowercase() == case.getString("range") } ?: throw BadInput("no such range")
    val matrix = YuvMatrix.entries.firstOrNull { it.name.lowercase() == case.getString("matrix") } ?: throw BadInput("no such matrix")
    return YuvFrame(case.getInt("width"), case.getInt("height"), plane("y"), plane("u"), plane("v"), orientation, range, matrix)
}

fun depth(case: JSONObject): DepthMap {
    val buffer = ByteBuffer.wrap(bytes(case.getString("millimetres"))).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer()
    return DepthMap(case.getInt("width"), case.getInt("height"), ShortArray(buffer.remaining()).also { buffer.get(it) })
}

/** Largest difference; NaN and another length count as infinite. */
fun difference(a: FloatArray, b: FloatArray): Double =
    if (a.size != b.size) {
        Double.POSITIVE_INFINITY
    } else {
        a.indices.maxOf { i -> abs(a[i].toDouble() - b[i]).let { if (it.isNaN()) Double.POSITIVE_INFINITY else it } }
    }

fun difference(a: Region, b: Region): Double =
    maxOf(maxOf(abs(a.left - b.left), abs(a.top - b.top)), maxOf(abs(a.width - b.width), abs(a.height - b.height)))

/** The bundle of a model for Android, or the one for the web, which holds a .tflite file, too. */
fun bundleFolder(model: String): File =
    listOf("android", "web").firstNotNullOfOrNull { target -> BUNDLES.listFiles()?.firstOrNull { it.name.startsWith("$model-$target-") } }
        ?: error("no $model bundle in $BUNDLES; run make apps-bundles")
