"""Fetch, check and build ncnn as one static library; print the folder that holds its CMake package.

`python cpp_demo/tools/get_ncnn.py [--jobs N] [--cache DIR] [--toolchain FILE [--compiler PATH] [--define NAME=VALUE]]`

ncnn's source is the PyPI sdist, pinned by sha256. `pip download` refuses it, because its setup.py names its version
after the day of the build, so this script reads the same package page from the same index that pip is configured for.
Both the sdist and the built library stay in the cache (`.cache/` of the project); a second call only looks there.
Standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import html
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

VERSION_DATE = "20261020"
SDIST = f"ncnn-1.0.{VERSION_DATE}.tar.gz"
SDIST_SHA256 = "ad8cdd63e9755cfa8e23b9b6d9ce46156077d80298a89e7c3ba325ffccfca200"
TIMEOUT_S = 120.0

# What the networks of this project use, and what those layers make for themselves (Gemm, Packing, Cast, Padding).
LAYERS = frozenset({
    "BinaryOp", "Cast", "Clip", "Concat", "Convolution", "ConvolutionDepthWise", "Crop", "Dequantize", "Flatten",
    "Gemm", "HardSigmoid", "HardSwish", "InnerProduct", "Input", "Interp", "MemoryData", "Noop", "Packing", "Padding",
    "Permute", "PixelShuffle", "Pooling", "Quantize", "ReLU", "Reorg", "Requantize", "Reshape", "Sigmoid", "Slice", "Split",
})  # fmt: skip
FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_INSTALL_LIBDIR=lib",
    "-DCMAKE_CXX_FLAGS=-w",  # GCC's warnings about this code fill 54 MB
    f"-DNCNN_VERSION={VERSION_DATE}",
    "-DNCNN_SHARED_LIB=OFF",
    "-DNCNN_VULKAN=OFF",
    "-DNCNN_SIMPLEOCV=OFF",  # ON declares cv:: names of its own, which clash with OpenCV
    "-DNCNN_OPENMP=ON",
    "-DNCNN_BF16=OFF",
    "-DNCNN_XOP=OFF",  # this and FMA4: instructions of one AMD family of 2011 to 2016, which has AVX as well
    "-DNCNN_FMA4=OFF",
    "-DNCNN_C_API=OFF",
    "-DNCNN_PIXEL_ROTATE=OFF",
    "-DNCNN_PIXEL_AFFINE=OFF",
    "-DNCNN_PIXEL_DRAWING=OFF",
    "-DNCNN_BUILD_TOOLS=OFF",
    "-DNCNN_BUILD_EXAMPLES=OFF",
    "-DNCNN_BUILD_BENCHMARK=OFF",
    "-DNCNN_BUILD_TESTS=OFF",
    "-DNCNN_DISABLE_RTTI=OFF",
    "-DNCNN_DISABLE_EXCEPTION=OFF",
)


@dataclass(frozen=True)
class Target:
    """What ncnn is built for; the defaults are this machine."""

    toolchain: Path | None = None
    """CMake toolchain file."""
    compiler: str | None = None
    """The C++ compiler that the toolchain file chooses."""
    defines: tuple[str, ...] = ()
    """NAME=VALUE for CMake, such as ANDROID_ABI=arm64-v8a; these win over FLAGS."""


class FetchError(RuntimeError):
    """The source cannot be had or does not build; the message says what to do next."""


@dataclass(frozen=True)
class PipSettings:
    """Where pip looks for packages.

    Attributes
    ----------
    indexes
        Addresses of package indexes, in pip's order.
    links
        Folders with packages.
    certificates
        File with the certificates to trust; None for the system's.
    """

    indexes: list[str]
    links: list[str]
    certificates: str | None


def pip_settings() -> PipSettings:
    """Ask pip for its configuration: files, then environment, then its own default index."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    if listed.returncode != 0:
        raise FetchError(f"got no pip in {sys.executable}, expected one to ask for its index; use .venv/bin/python")
    settings: dict[str, dict[str, str]] = {":env:": {}, "download": {}, "global": {}}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in settings:
            settings[section][key] = value.strip().strip("'\"").replace("\\n", " ")

    def setting(key: str) -> str:
        # The environment wins over the section of a command, and that over [global], as in pip.
        return next((values[key] for values in settings.values() if values.get(key)), "")

    index = setting("index-url")
    if not index:
        ask_default = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
        default = subprocess.run([sys.executable, "-c", ask_default], capture_output=True, text=True, check=True)
        index = default.stdout.strip()
    offline = setting("no-index").lower() in ("1", "true", "yes", "on")
    indexes = [] if offline else [index, *setting("extra-index-url").split()]
    return PipSettings(indexes, setting("find-links").split(), setting("cert") or None)


def open_address(address: str, certificates: str | None) -> bytes:
    """Return the bytes at a http(s) or file address; a user name and password in it are sent as pip does."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https", "file"):
        raise FetchError(f"got address scheme {parts.scheme!r}, expected http, https or file; check `pip config list`")
    context = ssl.create_default_context(cafile=certificates)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    if parts.username:
        passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        passwords.add_password(None, address, unquote(parts.username), unquote(parts.password or ""), is_authenticated=True)
        opener.add_handler(urllib.request.HTTPBasicAuthHandler(passwords))
    with opener.open(urllib.request.Request(address, headers={"Accept": "text/html"}), timeout=TIMEOUT_S) as answer:
        return answer.read()


def find_sdist() -> bytes:
    """Return the bytes of the pinned sdist from the first place that has it with the right sha256."""
    pip = pip_settings()
    tried: list[str] = []
    for place in pip.links:
        if (Path(place) / SDIST).is_file():
            found = (Path(place) / SDIST).read_bytes()
            if hashlib.sha256(found).hexdigest() == SDIST_SHA256:
                return found
            tried.append(f"{place}: another file under the same name")
    for index in pip.indexes:
        page = index.rstrip("/") + "/ncnn/"
        # A local mirror is a folder of pages; file: has no notion of a folder's default page.
        address = page + "index.html" if page.startswith("file:") else page
        try:
            text = open_address(address, pip.certificates).decode("utf-8", "replace")
            link = re.search(r'href\s*=\s*["\']([^"\']*' + re.escape(SDIST) + r"[^\"']*)[\"']", text)
            if link is None:
                tried.append(f"{urlsplit(page).hostname or page}: no {SDIST}")
                continue
            target = urljoin(page, html.unescape(link[1]).partition("#")[0])
            found = open_address(target, pip.certificates)
        except (urllib.error.URLError, OSError) as error:
            tried.append(f"{urlsplit(page).hostname or page}: {error}")
            continue
        got = hashlib.sha256(found).hexdigest()
        if got == SDIST_SHA256:
            return found
        tried.append(f"{urlsplit(page).hostname or page}: sha256 {got}, expected {SDIST_SHA256}")
    raise FetchError(
        f"got no {SDIST} ({'; '.join(tried) or 'pip is set to no-index'}); give pip an index that has it "
        f"(PIP_INDEX_URL) or put the file into the cache folder yourself"
    )


def cached_sdist(cache: Path) -> Path:
    """Return the path of the checked sdist, downloading it where the cache has none."""
    path = cache / SDIST
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SDIST_SHA256:
        return path
    say(f"downloading {SDIST}")
    partial = path.with_suffix(".partial")
    partial.write_bytes(find_sdist())
    partial.replace(path)
    return path


def compiler_version(named: str | None, toolchain: Path | None) -> str:
    """Return the first line that the C++ compiler says about itself: the one that is named, the toolchain's, or c++."""
    command = named or os.environ.get("CXX", "c++")
    if toolchain is not None and named is None:
        line = re.search(r"set\(CMAKE_CXX_COMPILER ([^)\s]+)\)", toolchain.read_text())
        if line is None:
            raise FetchError(f"got no line set(CMAKE_CXX_COMPILER ...) in {toolchain}, expected one; or give --compiler PATH")
        command = line[1]
    try:
        asked = "version" if Path(command).name == "zig" else "--version"
        shown = subprocess.run([command, asked], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise FetchError(f"got no C++ compiler ({command}: {error}); install it with `make packages`") from error
    return shown.stdout.splitlines()[0]


def build(sdist: Path, install: Path, target: Target, jobs: int) -> None:
    """Unpack, configure, compile and install into `install`, which appears only when all of it worked."""
    cross = [] if target.toolchain is None else [f"-DCMAKE_TOOLCHAIN_FILE={target.toolchain}"]
    cross += [f"-D{define}" for define in target.defines]
    install.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ncnn-build-", dir=install.parent) as scratch_name:
        scratch = Path(scratch_name)
        with tarfile.open(sdist) as packed:
            packed.extractall(scratch, filter="data")
        source = scratch / SDIST.removesuffix(".tar.gz")
        known = re.findall(r"^ncnn_add_layer\((\w+)", (source / "src" / "CMakeLists.txt").read_text(), re.MULTILINE)
        absent = sorted(LAYERS - set(known))
        if absent:
            raise FetchError(f"ncnn {VERSION_DATE} has no layer {', '.join(absent)}, expected all; correct LAYERS")
        off = [f"-DWITH_LAYER_{name.lower()}=OFF" for name in known if name not in LAYERS]
        partial = install.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        log = install.with_suffix(".log")
        tree = str(scratch / "build")
        steps = (
            ["cmake", "-S", str(source), "-B", tree, f"-DCMAKE_INSTALL_PREFIX={partial}", *FLAGS, *off, *cross],
            ["cmake", "--build", tree, "--parallel", str(jobs)],
            ["cmake", "--install", tree, "--strip"],
        )
        with log.open("w") as output:
            for step in steps:
                if subprocess.run(step, stdout=output, stderr=subprocess.STDOUT).returncode != 0:
                    raise FetchError(f"`{' '.join(step[:3])}` failed; read {log}")
        partial.replace(install)
        log.unlink()


def say(text: str) -> None:
    """Tell the user on stderr; stdout carries the result alone."""
    print(f"ncnn: {text}", file=sys.stderr, flush=True)


def get_ncnn(cache: Path, target: Target, jobs: int) -> Path:
    """Return the folder with `ncnnConfig.cmake`, building the library where the cache has none for these flags."""
    cache.mkdir(parents=True, exist_ok=True)
    version = compiler_version(target.compiler, target.toolchain)
    recipe = "\n".join((platform.machine(), version, *sorted(LAYERS), *FLAGS, *target.defines))
    if target.toolchain is not None:
        lines = target.toolchain.read_text().splitlines()
        recipe += "".join(f"\n{line}" for line in lines if not line.startswith("#"))
    key = f"ncnn-{SDIST_SHA256[:12]}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    install = cache / key
    if install.is_dir():  # nobody waits for a build of something else
        return install / "lib" / "cmake" / "ncnn"
    with (cache / "ncnn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two builds at once would do the same work twice
        if not install.is_dir():
            for left_over in cache.glob("ncnn-build-*"):  # of a build that was killed
                shutil.rmtree(left_over, ignore_errors=True)
            sdist = cached_sdist(cache)
            say(f"building with {jobs} jobs, about {170 // jobs} s; the log is {install.with_suffix('.log')}")
            started = time.monotonic()
            build(sdist, install, target, jobs)
            say(f"built in {time.monotonic() - started:.0f} s")
    return install / "lib" / "cmake" / "ncnn"


def main() -> None:
    """Parse the command line, print the folder, exit 2 where it cannot be had."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    project = Path(__file__).resolve().parents[2]
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--cache", type=Path, default=project / ".cache", help="keeps sdist and library (%(default)s)")
    parser.add_argument("--jobs", type=int, default=cores, help="compilers at once (%(default)s)")
    parser.add_argument("--toolchain", type=Path, help="CMake toolchain file, to build for another machine")
    parser.add_argument("--compiler", help="C++ compiler that the toolchain file chooses, where it has no plain line for it")
    parser.add_argument(
        "--define", action="append", default=[], metavar="NAME=VALUE", help="CMake variable of the toolchain file"
    )
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error(f"got --jobs {options.jobs}, expected 1 or more")
    if options.toolchain is not None and not options.toolchain.is_file():
        parser.error(f"got --toolchain {options.toolchain}, expected an existing file such as cpp_demo/cmake/aarch64.cmake")
    toolchain = options.toolchain.resolve() if options.toolchain is not None else None
    try:
        print(get_ncnn(options.cache.resolve(), Target(toolchain, options.compiler, tuple(options.define)), options.jobs))
    except (FetchError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
