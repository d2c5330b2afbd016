"""Check what is pinned, and look it up: `python -m tools.audit` (`make audit`).

Without a network: every package of the locks has its hashes, the installed packages are those of the lock, and every npm package
has a digest. Then pip-audit asks the index for known vulnerabilities. Where the index has no such data, the command says so.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import json
import subprocess
from dataclasses import dataclass
from importlib import metadata

from edge_runtime.errors import GateError
from export.consumers import environments
from tools.licenses import blocks, pinned
from tools.shell import PROJECT

LOCKS = ("requirements.txt", "requirements-cpu.txt", "requirements-cuda.txt")


@dataclass(frozen=True)
class AuditConfig:
    """Check hashes and installed versions, and look for known vulnerabilities. Exit code 1 where something is wrong."""


def check_pins() -> list[str]:
    """Return what holds of the locks, a line each; raises `GateError` for a package without a hash, or of another version."""
    said, bare = [], []
    for name in LOCKS:
        packages = blocks((PROJECT / name).read_text(encoding="utf-8"))
        bare += [package for package, block in packages.items() if "--hash=sha256:" not in block]
        said.append(f"{name}: {len(packages)} packages, each with its hashes")
    web = json.loads((PROJECT / "web_demo" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    bare += [path for path, part in web.items() if path and "integrity" not in part]
    said.append(f"web_demo/package-lock.json: {len(web) - 1} packages, each with its digest")
    if bare:
        raise GateError(f"got no hash of {', '.join(bare)}, expected one for each package; run make lock, or npm install")
    wanted = pinned()
    other = [f"{name} {metadata.version(name)}" for name in wanted if metadata.version(name).partition("+")[0] != wanted[name]]
    if other:
        raise GateError(f"got {', '.join(other)} installed, expected the versions of requirements.txt; run make setup")
    return [*said, f".venv: {len(wanted)} packages, in the versions of requirements.txt"]


def look_up() -> str:
    """Return what pip-audit found in the database of the index; raises `GateError` for known vulnerabilities."""
    python = environments.make("audit")  # its scripts name the folder in which it was made
    words = [python, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--format", "json", "-r", LOCKS[0], "-r", LOCKS[2]]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True)
    if not done.stdout.startswith("{"):
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        return f"known vulnerabilities: not looked up, the index has no such data ({reason})"
    found = json.loads(done.stdout)["dependencies"]
    bad = [f"{each['name']} {each['version']}: {flaw['id']}" for each in found for flaw in each.get("vulns", ())]
    if bad:
        raise GateError(f"known vulnerabilities: {'; '.join(bad)}; run make lock UPGRADE=NAME")
    known = len([each for each in found if "skip_reason" not in each])
    return f"known vulnerabilities: none in {known} packages; the index has no data on {len(found) - known} others"


def main(_: AuditConfig) -> None:
    """Print what holds."""
    print("\n".join(check_pins()))
    print(look_up())


if __name__ == "__main__":
    run_command(main, AuditConfig)
