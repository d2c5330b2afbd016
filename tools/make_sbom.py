"""Write what skyedge is made of as CycloneDX JSON: `python tools/make_sbom.py --zig PATH --out FILE` (part of `make dist`).

cyclonedx-py lists the Python packages, npm lists the web page's; the parts of the C++ programs are listed below.
Scope `required` is what the wheel needs, `optional` what its extras need, `excluded` what only builds and tests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from cpp_demo.tools.get_ncnn import SDIST_SHA256, VERSION_DATE
from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_json
from export.consumers import environments
from tools.licenses import pinned, uses

PROJECT = Path(__file__).resolve().parents[1]
DEBIAN = {"nlohmann-json3-dev": "MIT", "libcli11-dev": "BSD-3-Clause", "libstb-dev": "MIT OR Unlicense"}
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(str(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()) or "") or 0)
"""


@dataclass(frozen=True)
class SbomConfig:
    """Write and validate the bill of materials."""

    zig: Path
    """zig of the PyPI package ziglang, whose C and C++ runtime the programs contain."""
    out: Path


def run(*words: str | Path, folder: Path = PROJECT) -> str:
    """Run a command and return its output."""
    done = subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"{Path(words[0]).name} failed (exit {done.returncode}): {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout


def closure(names: set[str]) -> set[str]:
    """Return the packages and all that they bring along."""
    while more := {name for name, (_, users) in pinned().items() if name not in names and names & set(users)}:
        names = names | more
    return names


def python_parts(tool: Path) -> dict[str, Any]:
    """Return the bill of this environment, with scopes."""
    flags = ("--pyproject", "pyproject.toml", "--spec-version", "1.6", "--output-reproducible")
    bill = json.loads(run(tool.with_name("cyclonedx-py"), "environment", *flags, sys.executable))
    required = closure({name for name, use in uses().items() if "the runtime" in use})
    optional = closure({name for name, use in uses().items() if "`" in use})
    for part in bill["components"]:
        name = canonicalize_name(part["name"])
        part["scope"] = "required" if name in required else "optional" if name in optional else "excluded"
    return bill


def cpp_part(name: str, version: str, terms: str, purl: str, **more: Any) -> dict[str, Any]:
    """Return a part of the C++ programs."""
    fixed = {"type": "library", "bom-ref": f"cpp:{name}", "scope": "required"}
    return fixed | {"name": name, "version": version, "licenses": [{"expression": terms}], "purl": purl} | more


def cpp_parts(zig: Path) -> list[dict[str, Any]]:
    """Return the parts of the C++ programs, in the versions of this machine."""
    digest = [{"alg": "SHA-256", "content": SDIST_SHA256}]
    parts = [cpp_part("ncnn", VERSION_DATE, "BSD-3-Clause", f"pkg:pypi/ncnn@1.0.{VERSION_DATE}", hashes=digest)]
    for name, terms in DEBIAN.items():
        version = run("dpkg-query", "-W", "-f=${Version}", name)
        parts.append(cpp_part(name, version, terms, f"pkg:deb/debian/{name}@{version.replace('+', '%2B')}"))
    version = run(zig, "version").strip()
    about = "musl, libc++ and compiler-rt of Zig, linked into the static programs"
    terms = "MIT AND Apache-2.0 WITH LLVM-exception"
    return [*parts, cpp_part("zig-runtime", version, terms, f"pkg:pypi/ziglang@{version}", description=about)]


def main(config: SbomConfig) -> None:
    """Collect, write and validate."""
    tool = environments.make("sbom")
    bill = python_parts(tool)
    parts = cpp_parts(config.zig.resolve())
    links = [{"ref": part["bom-ref"]} for part in parts]
    made_of = [part["bom-ref"] for part in parts]
    if shutil.which("npm"):
        words = ("npm", "sbom", "--package-lock-only", "--sbom-format", "cyclonedx")
        web = json.loads(run(*words, folder=PROJECT / "web_demo"))
        parts += [web["metadata"]["component"], *web["components"]]
        links += web["dependencies"]
        made_of.append(web["metadata"]["component"]["bom-ref"])
    else:
        print("got no npm: the packages of web_demo are left out", file=sys.stderr)
    bill["components"] += parts
    (root,) = (link for link in bill["dependencies"] if link["ref"] == bill["metadata"]["component"]["bom-ref"])
    root["dependsOn"] = [*root.get("dependsOn", ()), *made_of]
    bill["dependencies"] += links
    write_json(config.out, bill)
    run(tool, "-c", VALIDATE, config.out.resolve())
    print(f"{len(bill['components'])} parts: {config.out}")


if __name__ == "__main__":
    run_command(main, SbomConfig)
