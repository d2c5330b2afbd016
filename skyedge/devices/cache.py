"""The architecture of a device, and its cache: program and artifacts by SHA-256, so that only new files travel."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.artifact.artifact import SPEC_FILE, Artifact
from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256
from skyedge.devices.errors import NO_ROOM
from skyedge.devices.link import CARRY_SECONDS, Finished, Link

BUILD = Path(__file__).resolve().parents[2] / "cpp_demo" / "build"
# Architecture as `uname -m` names it -> program, the command that builds it, and its number in an ELF header.
PROGRAMS = {"x86_64": (BUILD / "skyedge", "make cpp", 62), "aarch64": (BUILD / "aarch64" / "skyedge", "make cpp-arm", 183)}
ARCHITECTURES = {number: name for name, (_, _, number) in PROGRAMS.items()}
PROPERTIES = ("ro.product.manufacturer", "ro.product.model", "ro.build.version.release", "ro.kernel.qemu", "ro.boot.qemu")


@dataclass(frozen=True)
class Device:
    """What the device says about itself; name, os and emulator are empty except on Android."""

    architecture: str
    name: str
    os: str
    emulator: str


def ask_device(link: Link) -> Device:
    """Ask the device for its facts; nothing is written there."""
    text = "printf 'architecture\\t%s\\n' \"$(uname -m)\"\n"
    text += f"if command -v getprop >/dev/null; then for name in {' '.join(PROPERTIES)}; do\n"
    text += 'printf \'%s\\t%s\\n\' "$name" "$(getprop "$name")"; done; fi\n'
    said = dict(line.split("\t", 1) for line in link.run(text).out.splitlines() if "\t" in line)
    maker, model, version, *emulated = (said.get(name, "").strip() for name in PROPERTIES)
    architecture = said.get("architecture", "").replace("arm64", "aarch64")
    name = model if model.lower().startswith(maker.lower()) else f"{maker} {model}"
    return Device(architecture, name.strip(), f"Android {version}" if version else "", "Android's" if "1" in emulated else "")


def choose_program(device: Device, given: Path | None, shown: str) -> Path:
    """Return the `skyedge` for the device's architecture: `given`, else the one that is built here.

    Raises `InputError` for an unknown architecture, and for a program that is missing or for another architecture.
    """
    if device.architecture not in PROGRAMS:
        raise InputError(
            f"got {shown} of architecture {device.architecture!r}, expected {' or '.join(PROGRAMS)}; "
            "on a 64-bit Arm processor install a 64-bit system"
        )
    built, command, number = PROGRAMS[device.architecture]
    program = given or built
    if not program.is_file():
        advice = "name another --binary" if given else f"run `{command}` in the project, or give one with --binary"
        raise InputError(f"got no program {program}, expected skyedge for {device.architecture}; {advice}")
    with program.open("rb") as file:
        head = file.read(20)
    is_for = int.from_bytes(head[18:20], "little") if head[:4] == b"\x7fELF" else 0
    if is_for != number:
        raise InputError(
            f"got {program} for {ARCHITECTURES.get(is_for, 'no known architecture')}, expected a program for "
            f"{device.architecture}, the architecture of {shown}; `{command}` builds one"
        )
    return program


def list_files(artifact: Artifact) -> dict[str, Path]:
    """Return name -> path of the files that `skyedge` reads of an ncnn artifact, the golden files included."""
    entries = [artifact.file(role) for role in sorted(artifact.spec.files)]
    golden = [artifact.folder / name for name in (artifact.spec.golden.input, artifact.spec.golden.output)]
    return {path.name: path for path in (artifact.folder / SPEC_FILE, *entries, *golden)}


@dataclass(frozen=True)
class Cache:
    """A folder on the device with `files/SHA256`. `digests` are path here -> SHA-256 of the files of this run."""

    link: Link
    folder: str
    digests: Mapping[Path, str]

    def forget(self) -> None:
        """Remove the files of this run, and the folder if nothing else is in it."""
        names = " ".join(sorted(set(self.digests.values())))
        there = shlex.quote(self.folder)
        self.link.run(f"cd {there}/files && rm -f {names} && cd / && rmdir {there}/files {there} 2>/dev/null")


def fill_cache(link: Link, folder: str, program: Path, files: Iterable[Path]) -> tuple[Cache, int]:
    """Send missing files to the device, check them there, and return the cache and the number of bytes sent.

    Parameters
    ----------
    folder
        On the device, absolute or relative to where its shell starts; "" is the link's default.
    program
        The one file that becomes executable.
    files
        Other files; equal ones travel once.

    Raises
    ------
    InputError
        No space or no permission there. Whole files stay, partial files are removed.
    """
    digests = {path: file_sha256(path) for path in (program, *files)}
    word = shlex.quote(folder) if folder else link.cache
    names = " ".join(sorted(set(digests.values())))
    ready = link.run(_READY.format(folder=word, names=names), patience_seconds=CARRY_SECONDS)
    _check_room(ready, link, folder)
    said = [line.split("\t", 1) for line in ready.out.splitlines() if "\t" in line]
    place = next(value for key, value in said if key == "cache")
    there = {value for key, value in said if key == "have"}
    cache = Cache(link, place, digests)
    missing = {digest: path for path, digest in digests.items() if digest not in there}
    if not missing:
        return cache, 0
    accept = _ACCEPT.format(names=" ".join(missing), files=shlex.quote(f"{place}/files"), program=digests[program])
    incoming = f"{place}/skyedge-incoming-{secrets.token_hex(4)}"
    _check_room(link.carry(missing, incoming, accept), link, place)
    return cache, sum(path.stat().st_size for path in missing.values())


# A run folder whose shell is gone is left over from a run that lost its power.
_READY = """
mkdir -p {folder}/files && cd {folder} || exit 1
command -v sha256sum >/dev/null || {{ echo 'no sha256sum on this device' >&2; exit 1; }}
printf 'cache\\t%s\\n' "$PWD"
for old in skyedge-run-*; do [ ! -d "$old" ] || kill -0 "${{old##*-}}" 2>/dev/null || rm -rf "$old"; done
find . -maxdepth 1 -name 'skyedge-incoming-*' -mtime +0 -exec rm -rf {{}} + 2>/dev/null
cd files || exit 1
for name in {names}; do
  [ -f "$name" ] || continue
  set -- $(sha256sum "$name")
  [ "$1" != "$name" ] || printf 'have\\t%s\\n' "$name"
done
"""
_ACCEPT = """
for name in {names}; do
  set -- $(sha256sum "$name")
  [ "$1" = "$name" ] || {{ echo "$name came broken" >&2; exit 1; }}
done
[ ! -f {program} ] || chmod 755 {program} || exit 1
mv -f {names} {files}/
"""


def _check_room(done: Finished, link: Link, folder: str) -> None:
    if done.code == 0:
        return
    said = "; ".join(line.strip() for line in done.err.splitlines()[-3:]) or f"exit code {done.code}"
    where = folder or link.cache.strip('"')
    if any(reason in done.err for reason in NO_ROOM):
        raise InputError(f"got no space on {link.shown} in {where}: {said}; free some, or choose another folder with --cache")
    raise InputError(f"cannot write to {where} on {link.shown}: {said}; choose a writable folder with --cache")
