package org.onpar.demo

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.os.Build
import android.os.Bundle as State
import android.view.View
import android.widget.ArrayAdapter
import android.widget.AdapterView
import android.widget.Button
import android.widget.FrameLayout
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.Spinner
import android.widget.TextView
import java.io.File
import java.util.concurrent.Executors
import org.onpar.BenchmarkRecord
import org.onpar.Bundle
import org.onpar.GoldenSelfTest
import org.onpar.OnParException
import org.onpar.android.AssetSource
import org.onpar.android.readPicture
import org.onpar.android.thermalState
import org.onpar.android.thisPhone

private const val CAMERA_REQUEST = 1
private const val PICTURE_REQUEST = 2
private const val ROUNDS = 200

/** Four screens over one detector: camera, picture, self-test, benchmark. Models run on a thread of their own. */
class MainActivity : Activity() {
    private val worker = Executors.newSingleThreadExecutor()
    private lateinit var content: FrameLayout
    private var detector: AnyDetector? = null
    private var camera: CameraScreen? = null

    override fun onCreate(state: State?) {
        super.onCreate(state)
        content = FrameLayout(this)
        val column = LinearLayout(this).apply { orientation = LinearLayout.VERTICAL }
        column.addView(bundleChooser())
        column.addView(tabs())
        column.addView(content, LinearLayout.LayoutParams(LinearLayout.LayoutParams.MATCH_PARENT, 0, 1f))
        setContentView(column)
    }

    override fun onDestroy() {
        camera?.close()
        worker.execute { detector?.close() }
        worker.shutdown()
        super.onDestroy()
    }

    /** The bundles among the app's assets. */
    private fun bundleChooser(): Spinner {
        val names = assets.list("bundles").orEmpty()
        return Spinner(this).apply {
            contentDescription = getString(R.string.bundle)
            adapter = ArrayAdapter(this@MainActivity, android.R.layout.simple_spinner_dropdown_item, names)
            onItemSelectedListener =
                object : AdapterView.OnItemSelectedListener {
                    override fun onItemSelected(parent: AdapterView<*>, view: View?, position: Int, id: Long) = load(names[position])

                    override fun onNothingSelected(parent: AdapterView<*>) = Unit
                }
        }
    }

    private fun tabs(): LinearLayout {
        val row = LinearLayout(this)
        val screens =
            listOf(
                R.string.camera to ::showCamera,
                R.string.picture to ::pickPicture,
                R.string.self_test to ::selfTest,
                R.string.benchmark to ::benchmark,
            )
        for ((label, open) in screens) {
            val button = Button(this).apply { setText(label); setOnClickListener { open() } }
            row.addView(button, LinearLayout.LayoutParams(0, LinearLayout.LayoutParams.WRAP_CONTENT, 1f))
        }
        return row
    }

    private fun load(name: String) =
        background(getString(R.string.loading)) {
            detector?.close()
            detector = null
            val names = assets.list("bundles").orEmpty()
            val opened = AnyDetector.open(bundle(name)) { model -> names.firstOrNull { it.startsWith("$model-") }?.let(::bundle) }
            detector = opened
            val found = Shown.of(opened.detectGolden().value)
            "${opened.bundle.manifest.description}.\n\nGolden input: ${found.text}\n\n${opened.bundle.manifest.weightsLicense}"
        }

    private fun bundle(name: String): Bundle = Bundle.open(AssetSource(assets, "bundles/$name"))

    private fun showCamera() {
        val opened = detector ?: return
        if (!opened.takesPictures) return say(getString(R.string.no_depth_camera))
        if (checkSelfPermission(Manifest.permission.CAMERA) != PackageManager.PERMISSION_GRANTED) {
            return requestPermissions(arrayOf(Manifest.permission.CAMERA), CAMERA_REQUEST)
        }
        show(CameraScreen(this, opened, ::say).also { camera = it })
    }

    override fun onRequestPermissionsResult(request: Int, permissions: Array<String>, results: IntArray) {
        if (results.firstOrNull() == PackageManager.PERMISSION_GRANTED) showCamera() else say(getString(R.string.no_permission))
    }

    private fun pickPicture() {
        val intent = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*")
        startActivityForResult(intent, PICTURE_REQUEST)
    }

    override fun onActivityResult(request: Int, code: Int, data: Intent?) {
        val uri = data?.data ?: return
        val opened = detector ?: return
        worker.execute {
            guarded {
                val picked = readPicture(contentResolver, uri)
                val picture = picked.toPicture()
                val found = opened.detect(picture)
                runOnUiThread {
                    val frame = FrameLayout(this)
                    frame.addView(ImageView(this).apply { setImageBitmap(upright(picked)) })
                    frame.addView(ResultView(this).apply { show(found, picture.width, picture.height) })
                    show(frame)
                }
            }
        }
    }

    private fun selfTest() {
        val bundle = detector?.bundle ?: return
        background(getString(R.string.running)) {
            val report = GoldenSelfTest.run(bundle)
            val rows =
                report.checks.joinToString("\n") {
                    "%s  %s: %.4g, limit %.4g".format(if (it.passed) "passed" else "FAILED", it.name, it.value, it.limit)
                }
            "${if (report.passed) "Proved" else "NOT PROVED"}: ${report.bundle}, ${report.backend}\n\n$rows"
        }
    }

    private fun benchmark() {
        val bundle = detector?.bundle ?: return
        background(getString(R.string.running)) {
            val version = getString(R.string.litert_version)
            val record =
                BenchmarkRecord.measure(bundle, ROUNDS, thisPhone(), version, thermal = { thermalState(this) }) {
                    if (it % 20 == 0) runOnUiThread { say("$it of $ROUNDS runs") }
                }
            val file = File(getExternalFilesDir(null), "${bundle.manifest.id}.json")
            file.writeText(record.toJson())
            val (p50, p90) = record.quantile(0.5) to record.quantile(0.9)
            "%s\nmodel p50 %.2f ms, p90 %.2f ms\n\nadb pull %s".format(bundle.manifest.id, p50, p90, file)
        }
    }

    /** Work off the main thread; its text, or its error, is shown. */
    private fun background(meanwhile: String, work: () -> String) {
        say(meanwhile)
        worker.execute { guarded { work().let { runOnUiThread { say(it) } } } }
    }

    private fun guarded(work: () -> Unit) {
        try {
            work()
        } catch (error: OnParException) {
            runOnUiThread { say("${error.javaClass.simpleName}: ${error.message}") }
        }
    }

    private fun say(text: String) {
        val view = TextView(this)
        view.text = text
        view.textSize = 16f
        view.setPadding(32, 32, 32, 32)
        view.setTextIsSelectable(true)
        show(ScrollView(this).apply { addView(view) })
    }

    private fun show(view: View) {
        if (view !is CameraScreen) {
            camera?.close()
            camera = null
        }
        content.removeAllViews()
        content.addView(view)
    }
}
