"""The installed package as an app's engineer meets it: CMake, pkg-config, C and ctypes, with the snippets of docs/cpp.md."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skyedge_ctypes import RGB, CFiles, CFrame, CMask, COptions, load_library

from edge_runtime.segmenter import Segmenter

pytestmark = pytest.mark.slow


def run(*words: str | Path, cwd: Path | None = None, **settings: str) -> str:
    """Run a command that must succeed; return its stdout."""
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=os.environ | settings, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def snippet(project_root: Path, language: str, number: int = 0) -> str:
    """Return a block of that language in docs/cpp.md."""
    page = (project_root / "docs" / "cpp.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[number]


@pytest.fixture(scope="module")
def package(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the prefix that `cmake --install` filled, moved after installing: nothing may hold its path."""
    place = tmp_path_factory.mktemp("package")
    run("cmake", "--install", build, "--prefix", place / "here")
    return (place / "here").rename(place / "moved")


@pytest.fixture(scope="module")
def model(project_root: Path) -> Path:
    """Return a released artifact."""
    return project_root / "models" / "unet_lite_s" / "ncnn-fp16"


def make_app(folder: Path, project_root: Path) -> Path:
    """Write the snippets of docs/cpp.md as a project into `folder`."""
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(snippet(project_root, "cmake"))
    (folder / "main.cpp").write_text(snippet(project_root, "cpp"))
    assert sum(len(path.read_text().splitlines()) for path in folder.iterdir()) < 40
    return folder


def test_what_is_installed(package: Path, project_root: Path) -> None:
    for name in ("libskyedge.a", "libskyedge.so", "libncnn.a", "pkgconfig/skyedge.pc", "cmake/skyedge/skyedgeConfig.cmake"):
        assert list(package.glob(f"lib*/{name}")), name
    headers = {path.name for path in (package / "include" / "skyedge").iterdir()}
    assert {"skyedge.h", "sky_segmenter.h", "frame.h", "version.h"} <= headers
    for header in (package / "include" / "skyedge").iterdir():  # of one another and the standard library alone
        assert not re.search(r'#include "(?!skyedge/)', header.read_text()), header
    version = re.search(r'^version = "(.*)"', (project_root / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert f'SKYEDGE_VERSION "{version[1]}"' in (package / "include" / "skyedge" / "version.h").read_text()
    assert version[1] in run(package / "bin" / "skyedge", "--version")
    exported = run("nm", "-D", "--defined-only", "-C", next(package.glob("lib*/libskyedge.so")))
    assert "skyedge_create" in exported and "ncnn::" not in exported


@pytest.mark.parametrize("compiler", ["g++", "g++-11", "clang++-14"])
def test_an_app_builds_against_it(compiler: str, package: Path, project_root: Path, model: Path, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not here")
    app = make_app(tmp_path / "app", project_root)
    strict = "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror"
    run("cmake", "-S", app, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={package}", f"-DCMAKE_CXX_FLAGS={strict}", CXX=compiler)
    run("cmake", "--build", tmp_path / "b")
    assert re.fullmatch(r"alpha of the first pixel: \d+\n", run(tmp_path / "b" / "app", model))
    flags = (tmp_path / "b" / "CMakeFiles" / "app.dir" / "flags.make").read_text()
    assert "-ffp-contract" not in flags and "nlohmann" not in flags
    failed = subprocess.run([tmp_path / "b" / "app", tmp_path], capture_output=True, text=True)
    assert failed.returncode == 2 and "expected an artifact folder with model.json" in failed.stderr


@pytest.mark.parametrize("compiler", [pytest.param("g++-11", marks=pytest.mark.full), "clang++-14"])
def test_a_vendored_copy_needs_only_ncnn(
    compiler: str, build: Path, package: Path, project_root: Path, model: Path, tmp_path: Path
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not here")
    app = make_app(tmp_path / "app", project_root)
    copy = app / "third_party" / "skyedge"
    shutil.copytree(project_root / "cpp_demo", copy / "cpp_demo", ignore=shutil.ignore_patterns("build*"))
    shutil.copy(project_root / "pyproject.toml", copy)  # the version
    text = (app / "CMakeLists.txt").read_text()
    added = text.replace("find_package(skyedge REQUIRED)", "add_subdirectory(third_party/skyedge/cpp_demo)")
    (app / "CMakeLists.txt").write_text(added)
    ncnn = next(package.glob("lib*/cmake/ncnn"))
    run(
        "cmake", "-S", app, "-B", tmp_path / "b", f"-Dncnn_DIR={ncnn}", "-DCMAKE_DISABLE_FIND_PACKAGE_Python3=ON", CXX=compiler
    )  # fmt: skip
    run("cmake", "--build", tmp_path / "b", "--parallel", "2")
    assert "alpha of the first pixel" in run(tmp_path / "b" / "app", model)
    assert not list((tmp_path / "b").rglob("test_*")) and not list((tmp_path / "b").rglob("skyedge"))[1:]


def test_fetch_content_configures(package: Path, project_root: Path, tmp_path: Path) -> None:
    app = make_app(tmp_path / "app", project_root)
    source = project_root
    declared = f'FetchContent_Declare(skyedge SOURCE_DIR "{source}" SOURCE_SUBDIR cpp_demo)'
    fetch = f"include(FetchContent)\n{declared}\nFetchContent_MakeAvailable(skyedge)"
    text = (app / "CMakeLists.txt").read_text()
    (app / "CMakeLists.txt").write_text(text.replace("find_package(skyedge REQUIRED)", fetch))
    run("cmake", "-S", app, "-B", tmp_path / "b", f"-Dncnn_DIR={next(package.glob('lib*/cmake/ncnn'))}")


@pytest.mark.parametrize("static", [False, True])
def test_c_through_pkg_config(static: bool, package: Path, project_root: Path, model: Path, tmp_path: Path) -> None:
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is not here")
    library = next(package.glob("lib*/pkgconfig"))
    (tmp_path / "app.c").write_text(snippet(project_root, "c"))
    words = ["pkg-config", "--cflags", "--libs", "skyedge", *(["--static"] if static else [])]
    flags = run(*words, PKG_CONFIG_PATH=str(library)).split()
    if static:  # the archive by name, since -lskyedge finds the shared library first
        flags = [str(library.parent / "libskyedge.a") if flag == "-lskyedge" else flag for flag in flags] + ["-lstdc++", "-lm"]
    run("cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-o", tmp_path / "app", tmp_path / "app.c", *flags)
    said = run(tmp_path / "app", model, LD_LIBRARY_PATH="" if static else str(library.parent))
    assert re.fullmatch(r"skyedge \d+\.\d+\.\d+: [01]\.\d+\n", said)
    failed = subprocess.run(
        [tmp_path / "app"], env=os.environ | {"LD_LIBRARY_PATH": str(library.parent)}, capture_output=True, text=True
    )
    assert failed.returncode == 2 and "expected an artifact folder with model.json" in failed.stderr


def test_the_module_map_of_ios(package: Path, project_root: Path, tmp_path: Path) -> None:
    clang = next((found for name in ("clang", "clang-14") if (found := shutil.which(name))), None)
    if clang is None:
        pytest.skip("clang is not here")
    shutil.copytree(package / "include" / "skyedge", tmp_path / "headers" / "skyedge")
    shutil.copy(project_root / "cpp_demo" / "ios" / "module.modulemap", tmp_path / "headers")
    (tmp_path / "app.m").write_text("@import CSkyedge;\nconst char *version(void) { return skyedge_version(); }\n")
    cache = f"-fmodules-cache-path={tmp_path / 'cache'}"
    run(clang, "-fmodules", cache, "-I", tmp_path / "headers", "-fsyntax-only", tmp_path / "app.m")


def test_ctypes_gives_the_mask_of_python(package: Path, model: Path, scene_dir: Path) -> None:
    image = np.asarray(Image.open(next((scene_dir / "test" / "images").iterdir())).convert("RGB"))
    height, width = image.shape[:2]
    library = load_library(next(package.glob("lib*/libskyedge.so")))
    network = ctypes.c_void_p()
    assert library.skyedge_create(os.fsencode(model), None, ctypes.byref(network)) == 0
    frame = CFrame.of(RGB, width, height, np.ascontiguousarray(image).reshape(height, width * 3))
    mask = CMask.of(np.empty((height, width), np.float32))
    assert library.skyedge_segment(network, ctypes.byref(frame), ctypes.byref(mask)) == 0
    expected = Segmenter.load(model)(image)
    assert np.abs(mask.array - expected).max() < 2e-5

    frame.rotation = 33
    assert library.skyedge_segment(network, ctypes.byref(frame), ctypes.byref(mask)) == 1
    assert b"got a rotation of 33 degrees" in library.skyedge_last_error()
    frame.struct_size = 4
    assert library.skyedge_segment(network, ctypes.byref(frame), ctypes.byref(mask)) == 1
    assert b"struct_size that is too small" in library.skyedge_last_error()
    library.skyedge_destroy(network)
    library.skyedge_destroy(None)

    names = ("model.json", "model.param", "model.bin", "golden_in.npy", "golden_out.npy")
    files = [(model / name).read_bytes() for name in names]
    for contents, self_test, code in ((files[:3], 0, 0), (files, 1, 0), (files[:3], 1, 3), ([*files[:3], *files[:2]], 1, 3)):
        options = COptions(ctypes.sizeof(COptions), threads=1, self_test=self_test)
        words = ctypes.byref(CFiles.of(*contents)), ctypes.byref(options), ctypes.byref(network)
        assert library.skyedge_create_from_memory(*words) == code, library.skyedge_last_error()
        library.skyedge_destroy(network)
    assert b"expected a .npy file" in library.skyedge_last_error()
    assert library.skyedge_create(b"/nowhere", None, ctypes.byref(network)) == 3
    assert not network.value
