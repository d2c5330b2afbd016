"""Fill dist/ with what users download: `python -m tools.make_dist --zig PATH` (`make dist`).

For each of `TARGETS`, Zig's compiler makes a program, the static libraries, the headers and the CMake package. Beside them lie
the wheels, the npm package, the sources of the C++ program with its Android and iOS projects, the released models, a bill of
materials (CycloneDX), a list of sha256 sums, and a page that lists it all.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import gzip
import html
import json
import shutil
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.cores import usable_cores
from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256
from tools.make_sbom import write_sbom
from tools.shell import PROJECT, run

SUMS, INDEX = "SHA256SUMS", "index.html"
# musl gives static programs for any Linux and Android; the libraries for glibc link into programs of distributions since 2018.
TARGETS = ("aarch64-linux-musl", "x86_64-linux-musl", "aarch64-linux-gnu.2.28", "x86_64-linux-gnu.2.28")
KINDS = (  # how a name ends or begins, and what it is
    ("skyedge_models-", "every released network, for the Python package"),
    (".whl", "Python package"),
    (".tgz", "npm package: the sky in a web page"),
    ("skyedge-source", "C++ sources, with the Android and iOS projects"),
    ("skyedge-", "C++: program, static libraries, headers, CMake package"),
    (".tar.gz", "a released network: model.json, the network, its golden pair; terms: {terms}"),
    ("sbom", "bill of materials, CycloneDX"),
)
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>skyedge {version}</title>
<style>body {{ font: 16px/1.5 system-ui; margin: 2rem auto; max-width: 75rem }} td {{ padding: .2rem .8rem }}
td code {{ font-size: .7rem }}</style>
<h1>skyedge {version}</h1><p>Check what you downloaded: <code>sha256sum --check --ignore-missing SHA256SUMS</code></p>
<table><tr><th>file<th>what it is<th>MB<th>sha256</tr>
{rows}
</table></html>
"""


@dataclass(frozen=True)
class DistConfig:
    """Build everything that is downloaded into dist/, which is replaced when all parts are built."""

    zig: Path
    """zig of the PyPI package ziglang."""


def build_native(zig: Path, target: str, out: Path) -> None:
    """Build program and library for a target, and pack them with the headers."""
    tree = PROJECT / "build" / "dist" / target
    run(
        "cmake", "-S", "cpp_demo", "-B", tree, "-DCMAKE_BUILD_TYPE=Release", "-DSKYEDGE_TESTS=OFF", "-DSKYEDGE_SHARED=OFF",
        f"-DCMAKE_TOOLCHAIN_FILE={PROJECT / 'cpp_demo' / 'cmake' / 'zig.cmake'}", f"-DSKYEDGE_ZIG={zig}",
        f"-DSKYEDGE_ZIG_TARGET={target}", f"-DPython3_EXECUTABLE={sys.executable}",
    )  # fmt: skip
    run("cmake", "--build", tree, "--parallel", str(usable_cores()))
    prefix = tree / f"skyedge-{target}"
    shutil.rmtree(prefix, ignore_errors=True)
    run("cmake", "--install", tree, "--prefix", prefix, "--strip")
    pack(prefix, out / f"skyedge-{target}.tar.gz")


def pack(folder: Path, archive: Path) -> None:
    """Write a folder as an archive that is the same for the same files."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime = member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    with gzip.GzipFile(archive, "wb", mtime=0) as stream, tarfile.open(fileobj=stream, mode="w") as packed:
        packed.add(folder, folder.name, filter=plain)


def build_wheels(out: Path) -> list[Path]:
    """Write the wheels of the runtime and of the released models, and return them."""
    flags = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "wheel", *flags, "--wheel-dir", out, PROJECT, PROJECT / "models")
    return sorted(out.glob("*.whl"))


def install(wheels: list[Path], folder: Path) -> Path:
    """Install wheels into a new environment, try the command that they bring, and return the interpreter."""
    run(sys.executable, "-m", "venv", "--clear", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wheels)
    run(folder / "bin" / "skyedge", "verify", "unet_lite_s", folder=folder)  # outside the project, whose folders would be found
    return python


def pack_npm(out: Path) -> None:
    """Build the library of the web page and pack it."""
    folder = PROJECT / "web_demo"
    run("npm", "run", "--silent", "build:lib", folder=folder)
    run("npm", "pack", "--silent", "--pack-destination", out, folder=folder)


def pack_sources(out: Path) -> None:
    """Pack the files of cpp_demo that git knows, the network that its projects carry, and ncnn's source, which they build."""
    prefix, paths = "skyedge-source/", ("cpp_demo", "pyproject.toml", "LICENSE", "models/NOTICE", "models/unet_lite_s/ncnn-int8")
    (ncnn,) = (PROJECT / ".cache").glob("ncnn-*.tar.gz")
    words = ("archive", "--format=tar.gz", f"--prefix={prefix}.cache/", f"--add-file={ncnn}", f"--prefix={prefix}")
    run("git", *words, "--output", out / "skyedge-source.tar.gz", "HEAD", *paths)


def archive_name(spec: Path) -> str:
    """Return the name of the archive of a released artifact, given its `model.json`."""
    return f"{spec.parent.parent.name}-{spec.parent.name}.tar.gz"


def write_index(out: Path) -> int:
    """Write SHA256SUMS and index.html of all files in `out`; return how many there are. Every other step comes before."""
    files = sorted(path for path in out.iterdir() if path.name not in (SUMS, INDEX))
    digests = {path: file_sha256(path) for path in files}
    (out / SUMS).write_text("".join(f"{digest}  {path.name}\n" for path, digest in digests.items()))
    specs = (PROJECT / "models").glob("*/*/model.json")
    terms = {archive_name(spec): json.loads(spec.read_text(encoding="utf-8"))["weights_license"] for spec in specs}
    rows = []
    for path, digest in digests.items():
        what = next(text for part, text in KINDS if path.name.startswith(part) or path.name.endswith(part))
        what = html.escape(what.format(terms=terms.get(path.name)))
        megabytes = f"{path.stat().st_size / 1e6:.2f}"
        rows.append(f'<tr><td><a href="{path.name}">{path.name}</a><td>{what}<td>{megabytes}<td><code>{digest}</code></tr>')
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    (out / INDEX).write_text(PAGE.format(version=version, rows="\n".join(rows)), encoding="utf-8")
    return len(files)


def main(config: DistConfig) -> None:
    """Run the steps into a partial folder, which becomes the folder when all of them are done."""
    if not config.zig.is_file():
        raise InputError(f"got --zig {config.zig}, expected the program; run `make dist`, which fetches it")
    out, partial, zig = PROJECT / "dist", PROJECT / "dist.partial", config.zig.resolve()
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    python = install(build_wheels(partial), PROJECT / "build" / "dist" / "env")
    for spec in sorted((PROJECT / "models").glob("*/*/model.json")):
        pack(spec.parent, partial / archive_name(spec))
    pack_npm(partial)
    pack_sources(partial)
    for target in TARGETS:
        build_native(zig, target, partial)
    write_sbom(partial / "sbom.cdx.json", python, zig)
    count = write_index(partial)
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    print(f"{count} files: {out}")


if __name__ == "__main__":
    run_command(main, DistConfig)
