package org.onpar.android

import android.content.Context
import android.os.Build
import android.os.PowerManager
import org.onpar.Device

private val EMULATORS = setOf("goldfish", "ranchu", "cutf_cvm")
private const val ANDROID_10 = 29

/** This phone, or emulator, as a record names it. */
fun thisPhone(): Device {
    val kind = if (Build.HARDWARE in EMULATORS) "emulator" else "phone"
    return Device("${Build.MANUFACTURER} ${Build.MODEL}", kind, "Android ${Build.VERSION.RELEASE}")
}

/** How hot the phone says it is, in the words of a record; `unknown` before Android 10. */
fun thermalState(context: Context): String {
    if (Build.VERSION.SDK_INT < ANDROID_10) return "unknown"
    val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager
    // By name: the library is compiled against Android 6, which has no such method.
    val status = PowerManager::class.java.getMethod("getCurrentThermalStatus").invoke(power) as Int
    return when (status) {
        0 -> "nominal"
        1, 2 -> "fair" // light: nothing to notice yet; moderate
        3 -> "serious" // severe
        else -> "critical"
    }
}
