plugins {
    alias(libs.plugins.android.library)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "org.onpar"
    compileSdk = libs.versions.compile.sdk.get().toInt()
    ndkVersion = "28.2.13676358" // NDK 28 and newer align libraries to 16 KB pages by themselves; CMakeLists.txt asks for it too
    defaultConfig {
        minSdk = libs.versions.min.sdk.get().toInt()
        consumerProguardFiles("consumer-rules.pro")
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
    }
    externalNativeBuild { cmake { path = file("src/main/cpp/CMakeLists.txt") } }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    // The tests run real models, which Gradle's unit tests have no library for: android_demo/check.sh runs them.
    testOptions { unitTests.all { it.systemProperty("onpar.root", rootDir.parent) } }
}

kotlin { jvmToolchain(17) }

dependencies {
    runtimeOnly(libs.litert)
    testImplementation(libs.junit)
    testImplementation(libs.kotlin.test.junit)
    testImplementation(libs.json)
}
