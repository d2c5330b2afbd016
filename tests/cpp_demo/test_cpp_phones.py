"""The Kotlin, Swift and Gradle files of the phone projects, as far as a Kotlin compiler and parsers go: there is no SDK.

`android_api.java.txt` declares what they use of Android and CameraX; three of its classes work, so that the library module runs.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from skyedge_ctypes import mask_of, phone_frame

from export.consumers import environments

ANDROID, IOS = Path("cpp_demo") / "android", Path("cpp_demo") / "ios"
DRIVER = """
package io.skyedge

import android.content.res.AssetManager
import android.graphics.Rect
import android.media.Image
import java.nio.ByteBuffer
import java.nio.file.Files
import java.nio.file.Path

class Samples(private val bytes: ByteBuffer, private val step: Int) : Image.Plane() {
    override fun getRowStride() = 64
    override fun getPixelStride() = step
    override fun getBuffer() = bytes
}

class Frame(private val planes: Array<Image.Plane>) : Image() {
    override fun getWidth() = 64
    override fun getHeight() = 48
    override fun getPlanes() = planes
    override fun close() = Unit
}

fun main(words: Array<String>) {
    val folder = Path.of(words[0])
    val planes = listOf("y" to 1, "u" to 2, "v" to 2).map { (name, step) ->
        val bytes = Files.readAllBytes(folder.resolve(name))
        Samples(ByteBuffer.allocateDirect(bytes.size).put(bytes), step) as Image.Plane
    }
    val sky = SkySegmenter.fromAssets(AssetManager(), "ncnn-fp16", fp16 = true)
    val mask = sky.segment(Frame(planes.toTypedArray()), 90, Rect(4, 2, 60, 42), side = 32)
    println("${mask.width} x ${mask.height}, notes: '${sky.notes}'")
    val out = ByteArray(mask.width * mask.height)
    mask.alpha.rewind().get(out)
    Files.write(folder.resolve("alpha"), out)
    sky.close()
    try {
        sky.segment(Frame(planes.toTypedArray()), 90)
    } catch (error: IllegalStateException) {
        println(error.message)
    }
}
"""
PARSER = """
import importlib, sys, tree_sitter
for path in sys.argv[1:]:
    grammar = importlib.import_module("tree_sitter_swift" if path.endswith(".swift") else "tree_sitter_kotlin")
    tree = tree_sitter.Parser(tree_sitter.Language(grammar.language())).parse(open(path, "rb").read())
    print(path, "wrong" if tree.root_node.has_error else "parsed")
"""


def test_the_wrapper_is_gradles(project_root: Path) -> None:
    folder = project_root / ANDROID / "gradle" / "wrapper"
    digest = hashlib.sha256((folder / "gradle-wrapper.jar").read_bytes()).hexdigest()
    assert digest == "2db75c40782f5e8ba1fc278a5574bab070adccb2d21ca5a6e5ed840888448046"  # as Gradle publishes it for 8.10.2
    assert "gradle-8.10.2-bin.zip" in (folder / "gradle-wrapper.properties").read_text()
    assert os.access(project_root / ANDROID / "gradlew", os.X_OK)


def test_swift_uses_names_of_the_header(project_root: Path) -> None:
    header = (project_root / "cpp_demo" / "include" / "skyedge" / "skyedge.h").read_text()
    swift = (project_root / IOS / "Sources" / "Skyedge" / "SkySegmenter.swift").read_text()
    names = set(re.findall(r"\b(?:skyedge|SKYEDGE)_\w+", swift)) | set(re.findall(r"\b(?:frame|mask|options)\.(\w+)", swift))
    assert len(names) > 20
    assert [name for name in names if not re.search(rf"\b{name}\b", header)] == []


@pytest.mark.full
def test_swift_and_gradle_files_parse(project_root: Path) -> None:
    files = [
        path
        for folder in (ANDROID, IOS)
        for path in sorted((project_root / folder).rglob("*"))
        if path.suffix in (".kts", ".swift")
    ]
    assert len(files) == 7
    done = subprocess.run([environments.make("phones"), "-c", PARSER, *files], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count(" parsed\n") == len(files), done.stdout + done.stderr


@pytest.mark.full
def test_kotlin_compiles_and_gives_the_mask_of_the_c_interface(
    build: Path, jni: Path, project_root: Path, tmp_path: Path
) -> None:
    (jars,) = environments.make("phones").parents[1].glob("lib/python*/site-packages/run_kotlin_kernel/jars")
    (compiler,), (library,) = jars.glob("kotlin-jupyter-kernel-*-all.jar"), jars.glob("kotlin-stdlib-*.jar")
    sources = []
    for text in (Path(__file__).parent / "android_api.java.txt").read_text().split("package ")[1:]:
        name = re.search(r"(?:class|interface) (\w+)", text)[1]  # type: ignore[index]
        sources.append(tmp_path / text.split(";")[0] / f"{name}.java")
        sources[-1].parent.mkdir(exist_ok=True)
        sources[-1].write_text("package " + text)
    subprocess.run(["javac", "-d", tmp_path / "api", *sources], check=True)
    (tmp_path / "Driver.kt").write_text(DRIVER)
    kotlin = [tmp_path / "Driver.kt", *(project_root / ANDROID).rglob("*.kt")]
    classes = f"{library}{os.pathsep}{tmp_path / 'api'}"
    words = ["-no-stdlib", "-no-reflect", "-Werror", "-jvm-target", "17", "-cp", classes, "-d", tmp_path / "out"]
    done = subprocess.run(
        ["java", "-cp", compiler, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", *words, *kotlin], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr

    frame = phone_frame(tmp_path)
    model = project_root / "models" / "unet_lite_s" / "ncnn-fp16"
    words = [f"-Djava.library.path={jni.parent}", f"-Dassets={model.parent}", "-cp", f"{classes}{os.pathsep}{tmp_path / 'out'}"]
    done = subprocess.run(["java", *words, "io.skyedge.DriverKt", tmp_path], capture_output=True, text=True)
    assert done.stdout == "22 x 32, notes: ''\ngot a SkySegmenter that was closed, expected an open one\n", (
        done.stdout + done.stderr
    )

    got = np.frombuffer((tmp_path / "alpha").read_bytes(), np.uint8).reshape(32, 22).astype(int)
    assert np.abs(got - mask_of(build / "libskyedge.so", model, frame, 32, 22)).max() <= 8  # fp16, where the CPU has it
