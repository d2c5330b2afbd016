"""Fill dist/ with what users download: `python -m tools.make_dist --zig PATH` (`make dist`).

Zig's compiler makes a static binary, the static libraries and the headers for each of `TARGETS`. The wheels, the released models,
a bill of materials (CycloneDX) and a list of sha256 sums lie beside them.
"""

from __future__ import annotations

import gzip
import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256
from tools.make_sbom import write_sbom
from tools.shell import PROJECT, run

SUMS = "SHA256SUMS"
TARGETS = ("aarch64-linux-musl", "x86_64-linux-musl")


@dataclass(frozen=True)
class DistConfig:
    """Build everything that is downloaded into one folder."""

    zig: Path
    """zig of the PyPI package ziglang."""
    out: Path = PROJECT / "dist"
    """The folder; it is replaced when all parts are built."""
    targets: tuple[str, ...] = TARGETS
    """Targets of Zig."""
    jobs: int = 2
    """Compilers at a time."""


def build_native(zig: Path, target: str, out: Path, jobs: int) -> None:
    """Build program and library for a target, and pack them with the headers."""
    tree = PROJECT / "build" / "dist" / target
    run(
        "cmake", "-S", "cpp_demo", "-B", tree, "-DCMAKE_BUILD_TYPE=Release", "-DSKYEDGE_TESTS=OFF", "-DSKYEDGE_SHARED=OFF",
        f"-DCMAKE_TOOLCHAIN_FILE={PROJECT / 'cpp_demo' / 'cmake' / 'zig.cmake'}", f"-DSKYEDGE_ZIG={zig}",
        f"-DSKYEDGE_ZIG_TARGET={target}", f"-DPython3_EXECUTABLE={sys.executable}",
    )  # fmt: skip
    run("cmake", "--build", tree, "--parallel", str(jobs))
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


def write_sums(out: Path) -> int:
    """Write SHA256SUMS of all files in `out`; return how many there are. Every other step comes before this one."""
    files = sorted(path for path in out.iterdir() if path.name != SUMS)
    (out / SUMS).write_text("".join(f"{file_sha256(path)}  {path.name}\n" for path in files))
    return len(files)


def main(config: DistConfig) -> None:
    """Run the steps into a partial folder, which becomes the folder when all of them are done."""
    if not config.zig.is_file():
        raise InputError(f"got --zig {config.zig}, expected the program; run `make dist`, which fetches it")
    out, zig = config.out.resolve(), config.zig.resolve()
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    python = install(build_wheels(partial), PROJECT / "build" / "dist" / "env")
    for spec in sorted((PROJECT / "models").glob("*/*/model.json")):
        pack(spec.parent, partial / f"{spec.parent.parent.name}-{spec.parent.name}.tar.gz")
    for target in config.targets:
        build_native(zig, target, partial, config.jobs)
    write_sbom(partial / "sbom.cdx.json", python, zig)
    count = write_sums(partial)
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    print(f"{count} files: {out}")


if __name__ == "__main__":
    run_command(main, DistConfig)
