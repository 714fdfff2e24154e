plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "org.onpar.demo"
    compileSdk = libs.versions.compile.sdk.get().toInt()
    defaultConfig {
        applicationId = "org.onpar.demo"
        minSdk = libs.versions.min.sdk.get().toInt()
        targetSdk = libs.versions.compile.sdk.get().toInt()
        versionCode = 1
        versionName = "0.1.0"
        // Stands in every benchmark record.
        resValue("string", "litert_version", libs.versions.litert.get())
    }
    buildFeatures { resValues = true }
    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
        }
    }
    // Models are compressed already, and LiteRT reads them whole.
    androidResources { noCompress += listOf("tflite", "pte", "bin") }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

kotlin { jvmToolchain(17) }

dependencies { implementation(project(":onpar")) }

// Every Android bundle in dist/ goes into the app: python -m sdk_build.export --target android
val bundles =
    tasks.register<Sync>("bundles") {
        from(rootDir.resolve("../dist")) { include("*-android-*/**") }
        into(layout.buildDirectory.dir("bundle-assets/bundles"))
    }
android.sourceSets["main"].assets.srcDir(layout.buildDirectory.dir("bundle-assets"))
tasks.named("preBuild") { dependsOn(bundles) }
