// The sample: the camera's preview with the sky in blue.
import groovy.json.JsonSlurper
import java.security.MessageDigest

plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

/** Copies an artifact into the assets, and refuses a file whose sha256 is not that of model.json. */
abstract class PackModel : DefaultTask() {
    @get:InputDirectory
    abstract val model: DirectoryProperty

    @get:OutputDirectory
    abstract val assets: DirectoryProperty

    @TaskAction
    fun pack() {
        val folder = model.get().asFile
        val spec = JsonSlurper().parse(folder.resolve("model.json")) as Map<*, *>
        val files = (spec["files"] as Map<*, *>).values.map { it as Map<*, *> }
        for (file in files) {
            val bytes = folder.resolve(file["path"] as String).readBytes()
            val digest = MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }
            if (digest != file["sha256"]) {
                throw GradleException("$folder/${file["path"]}: got sha256 $digest, expected ${file["sha256"]}; copy the artifact again")
            }
        }
        val golden = spec["golden"] as Map<*, *>
        val names = listOf("model.json", golden["input"], golden["output"]) + files.map { it["path"] }
        val to = assets.get().asFile.resolve("model")
        to.deleteRecursively()
        for (name in names) folder.resolve(name as String).copyTo(to.resolve(name))
    }
}

val packModel = tasks.register<PackModel>("packModel") {
    model.set(rootProject.layout.projectDirectory.dir(providers.gradleProperty("skyedge.model")))
}

android {
    namespace = "io.skyedge.sample"
    compileSdk = 35
    defaultConfig {
        applicationId = "io.skyedge.sample"
        minSdk = 24
        targetSdk = 35
        versionCode = 1
    }
    // The debug key signs both kinds, so that a release build can be installed too. Publish with a key of your own.
    buildTypes { getByName("release") { signingConfig = signingConfigs.getByName("debug") } }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    kotlinOptions { jvmTarget = "17" }
    androidResources { noCompress += listOf("bin", "param", "npy") }
}

androidComponents.onVariants { variant -> variant.sources.assets?.addGeneratedSourceDirectory(packModel, PackModel::assets) }

dependencies {
    implementation(project(":skyedge"))
    implementation("androidx.activity:activity-ktx:1.9.3")
    implementation("androidx.annotation:annotation-experimental:1.4.1")
    implementation("androidx.camera:camera-camera2:1.4.0")
    implementation("androidx.camera:camera-lifecycle:1.4.0")
    implementation("androidx.camera:camera-view:1.4.0")
}
