"""Fill dist/ with what users download: `python tools/make_dist.py --zig PATH` (`make dist`).

For Linux and Android on aarch64 and x86-64, Zig's compiler makes one static binary, the static libraries and the headers.
The wheel, the released models, a bill of materials (CycloneDX) and a list of sha256 sums lie beside them. Standard library only.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SUMS = "SHA256SUMS"
TARGETS = ("aarch64-linux-musl", "x86_64-linux-musl")


def run(*words: str | Path) -> None:
    """Run a command; its output goes to stderr."""
    subprocess.run([str(word) for word in words], check=True, cwd=PROJECT, stdout=sys.stderr)


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


def build_wheel(out: Path) -> None:
    """Write the wheel of the runtime."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", out, PROJECT)


def pack_models(out: Path) -> None:
    """Pack every released artifact."""
    for spec in sorted((PROJECT / "models").glob("*/*/model.json")):
        pack(spec.parent, out / f"{spec.parent.parent.name}-{spec.parent.name}.tar.gz")


def write_sums(out: Path) -> int:
    """Write SHA256SUMS of all files in `out`; return how many there are. Every other step comes before this one."""
    files = sorted(path for path in out.iterdir() if path.name != SUMS)
    (out / SUMS).write_text("".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files))
    return len(files)


def main() -> None:
    """Run the steps into a partial folder, which becomes dist/ when all of them are done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zig", type=Path, required=True, help="zig of the PyPI package ziglang")
    parser.add_argument("--out", type=Path, default=PROJECT / "dist")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--targets", nargs="*", default=TARGETS, help="targets of Zig (default: %(default)s)")
    options = parser.parse_args()
    if not options.zig.is_file():
        parser.error(f"got --zig {options.zig}, expected the program; run `make dist`, which fetches it")
    out: Path = options.out.resolve()
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    build_wheel(partial)
    pack_models(partial)
    for target in options.targets:
        build_native(options.zig.resolve(), target, partial, options.jobs)
    run(sys.executable, PROJECT / "tools" / "make_sbom.py", "--zig", options.zig.resolve(), "--out", partial / "sbom.cdx.json")
    count = write_sums(partial)
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    print(f"{count} files: {out}")


if __name__ == "__main__":
    main()
