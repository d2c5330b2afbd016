"""The JNI part of the Android project: built against a JDK, driven by a Java program, aligned for memory pages of 16 kB."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from skyedge_ctypes import mask_of, phone_frame

pytestmark = pytest.mark.slow
ANDROID = Path("cpp_demo") / "android" / "skyedge" / "src" / "main"
PROGRAM = """
package io.skyedge;

import java.nio.ByteBuffer;
import java.nio.file.*;

public class SkySegmenter {
    private static native long nativeCreate(ByteBuffer[] files, int threads, boolean fp16);
    private static native String nativeNotes(long handle);
    private static native void nativeSegment(long handle, ByteBuffer y, ByteBuffer u, ByteBuffer v, int[] sizes,
        ByteBuffer alpha);
    private static native void nativeDestroy(long handle);

    private static ByteBuffer read(Path path) throws Exception {
        byte[] bytes = Files.readAllBytes(path);
        return ByteBuffer.allocateDirect(bytes.length).put(bytes);
    }

    private static int[] sizes(int height, int rotation, int maskWidth) {
        return new int[] {64, height, 64, 64, 2, rotation, 4, 2, 56, 40, maskWidth, 32};
    }

    public static void main(String[] words) throws Exception {
        System.load(words[0]);
        Path model = Path.of(words[1]), planes = Path.of(words[2]);
        ByteBuffer[] files = new ByteBuffer[5];
        String[] names = {"model.json", "model.param", "model.bin"};
        for (int i = 0; i < 3; i++) {
            files[i] = read(model.resolve(names[i]));
        }
        long without = nativeCreate(files, 1, true);
        System.out.println("notes: " + nativeNotes(without));
        nativeDestroy(without);
        files[3] = read(model.resolve("golden_in.npy"));
        files[4] = read(model.resolve("golden_out.npy"));
        long fast = nativeCreate(files, 1, true);
        System.out.println("notes: " + nativeNotes(fast));
        nativeDestroy(fast);
        long handle = nativeCreate(files, 1, false);
        ByteBuffer y = read(planes.resolve("y")), u = read(planes.resolve("u")), v = read(planes.resolve("v"));
        ByteBuffer alpha = ByteBuffer.allocateDirect(24 * 32);
        nativeSegment(handle, y, u, v, sizes(48, 90, 24), alpha);
        byte[] out = new byte[24 * 32];
        alpha.get(out);
        Files.write(planes.resolve("alpha"), out);
        for (Runnable wrong : new Runnable[] {
            () -> nativeSegment(handle, ByteBuffer.allocate(9), u, v, sizes(48, 90, 24), alpha),
            () -> nativeSegment(handle, y, u, v, sizes(49, 90, 24), alpha),
            () -> nativeSegment(handle, y, u, v, sizes(48, 90, 25), alpha),
            () -> nativeSegment(handle, y, u, v, sizes(48, 45, 24), alpha),
            () -> nativeCreate(new ByteBuffer[] {y, files[1], files[2], null, null}, 1, false),
        }) {
            try {
                wrong.run();
                System.out.println("nothing was thrown");
            } catch (IllegalArgumentException error) {
                System.out.println(error.getMessage());
            }
        }
        nativeDestroy(handle);
    }
}
"""


def test_pages_of_16_kb(jni: Path) -> None:
    shown = subprocess.run(["readelf", "-lW", jni], capture_output=True, text=True, check=True).stdout
    loads = [line.split()[-1] for line in shown.splitlines() if line.split()[:1] == ["LOAD"]]
    assert loads and all(int(align, 16) >= 16384 for align in loads)


def test_only_our_names_are_exported(jni: Path) -> None:
    shown = subprocess.run(["nm", "-D", "--defined-only", "-C", jni], capture_output=True, text=True, check=True).stdout
    assert "Java_io_skyedge_SkySegmenter_nativeSegment" in shown and "ncnn::" not in shown


def test_java_gives_the_mask_of_the_c_interface(jni: Path, build: Path, project_root: Path, tmp_path: Path) -> None:
    frame = phone_frame(tmp_path)
    source = tmp_path / "io" / "skyedge"
    source.mkdir(parents=True)
    (source / "SkySegmenter.java").write_text(PROGRAM)
    model = project_root / "models" / "unet_lite_s" / "ncnn-fp16"
    subprocess.run(["javac", "-d", tmp_path, source / "SkySegmenter.java"], check=True)
    words = ["java", "-Xcheck:jni", "-cp", tmp_path, "io.skyedge.SkySegmenter", jni, model, tmp_path]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    without, whole = [line for line in done.stdout.splitlines() if line.startswith("notes: ")]
    assert "fp16: got no golden pair" in without and "golden_in.npy" in without and whole == "notes: "
    expected = ("buffer", "buffer", "buffer", "got a rotation of 45 degrees", "got text that is not JSON")
    said = [line for line in done.stdout.splitlines() if line.startswith("got ")]
    assert len(said) == len(expected) and all(part in line for part, line in zip(expected, said, strict=True)), done.stdout

    got = np.frombuffer((tmp_path / "alpha").read_bytes(), np.uint8).reshape(32, 24)
    np.testing.assert_array_equal(got, mask_of(build / "libskyedge.so", model, frame, 32, 24))


def test_kotlin_declares_what_jni_defines(project_root: Path) -> None:
    kotlin = (project_root / ANDROID / "java" / "io" / "skyedge" / "SkySegmenter.kt").read_text()
    native = (project_root / ANDROID / "cpp" / "skyedge_jni.cpp").read_text()
    kinds = {"Long": "jlong", "Int": "jint", "Boolean": "jboolean", "ByteBuffer": "jobject"}
    kinds |= {"Array": "jobjectArray", "IntArray": "jintArray"}
    for name, words in re.findall(r"external fun (\w+)\((.*?)\)", kotlin, re.DOTALL):
        declared = [kinds[kind] for kind in re.findall(r": (\w+)", words)]
        found = re.search(rf"Java_io_skyedge_SkySegmenter_{name}\(JNIEnv\*[^,]*, jclass, (.*?)\) {{", native, re.DOTALL)
        assert found is not None and re.findall(r"(j\w+) \w+", found[1]) == declared
