"""Look the pinned packages up in the database of known vulnerabilities: `python tools/audit.py` (`make audit`).

pip-audit asks the package index. Where that has no such data, pip-audit says that it found nothing; here that is an error.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.cli import run_command
from edge_runtime.errors import GateError, InputError
from export.consumers import environments

PROJECT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.txt", "requirements-cuda.txt")


@dataclass(frozen=True)
class AuditConfig:
    """Exit code 1 where a package has a known vulnerability, 2 where the data cannot be read."""


def judge(packages: list[dict[str, Any]]) -> str:
    """Return a summary of pip-audit's list; raise for vulnerabilities, and for packages that were not looked up."""
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped or not packages:
        raise InputError(
            f"got vulnerability data for {len(packages) - len(skipped)} of {len(packages)} packages, expected all; "
            "run it where the index of pip serves such data"
        )
    found = [f"{package['name']} {package['version']}: {flaw['id']}" for package in packages for flaw in package["vulns"]]
    if found:
        raise GateError(
            f"got known vulnerabilities, expected none; raise the versions (make lock UPGRADE=NAME): {'; '.join(found)}"
        )
    return f"{len(packages)} packages, no known vulnerability"


def main(_: AuditConfig) -> None:
    """Run pip-audit and print the summary."""
    program = environments.make("audit").with_name("pip-audit")
    words = [word for lock in LOCKS for word in ("-r", lock)]
    flags = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json")
    done = subprocess.run([program, *words, *flags], cwd=PROJECT, capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise InputError(f"got no answer from pip-audit, expected its report; check the network: {last}") from error
    print(judge(packages))


if __name__ == "__main__":
    run_command(main, AuditConfig)
