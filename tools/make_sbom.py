"""Write what a release is made of as CycloneDX JSON; `make dist` calls `write_sbom`.

cyclonedx-py lists the packages that the installed wheel needs, npm those of the web page; the parts of the C++ programs are
listed below. What only builds and tests is not in it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from edge_runtime.files import write_json
from export.consumers import environments
from tools.shell import PROJECT, run

DEBIAN = {"nlohmann-json3-dev": "MIT", "libcli11-dev": "BSD-3-Clause", "libstb-dev": "MIT OR Unlicense"}
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(str(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()) or "") or 0)
"""


def cpp_part(name: str, version: str, terms: str, purl: str, **more: Any) -> dict[str, Any]:
    """Return a part of the C++ programs."""
    fixed = {"type": "library", "bom-ref": f"cpp:{name}", "scope": "required"}
    return fixed | {"name": name, "version": version, "licenses": [{"expression": terms}], "purl": purl} | more


def cpp_parts(zig: Path) -> list[dict[str, Any]]:
    """Return the parts of the C++ programs, in the versions of this machine."""
    pinned_ncnn = (PROJECT / "cpp_demo" / "cmake" / "get_ncnn.cmake").read_text()
    release, digest = (re.search(rf"set\(SKYEDGE_NCNN_{name} (\w+)\)", pinned_ncnn)[1] for name in ("RELEASE", "SHA256"))  # type: ignore[index]
    hashes = [{"alg": "SHA-256", "content": digest}]
    parts = [cpp_part("ncnn", release, "BSD-3-Clause", f"pkg:pypi/ncnn@1.0.{release}", hashes=hashes)]
    for name, terms in DEBIAN.items():
        version = run("dpkg-query", "-W", "-f=${Version}", name)
        parts.append(cpp_part(name, version, terms, f"pkg:deb/debian/{name}@{version.replace('+', '%2B')}"))
    version = run(zig, "version").strip()
    about = "musl, libc++ and compiler-rt of Zig, linked into the static programs"
    terms = "MIT AND Apache-2.0 WITH LLVM-exception"
    return [*parts, cpp_part("zig-runtime", version, terms, f"pkg:pypi/ziglang@{version}", description=about)]


def write_sbom(out: Path, python: Path, zig: Path) -> None:
    """Write and validate the bill; `python` is the interpreter of an environment that holds the wheel and nothing else."""
    tool = environments.make("sbom")
    flags = ("--pyproject", "pyproject.toml", "--spec-version", "1.6", "--output-reproducible")
    bill = json.loads(run(tool, "-m", "cyclonedx_py", "environment", *flags, python))
    sbom = ("npm", "sbom", "--package-lock-only", "--sbom-format", "cyclonedx")
    web, parts = json.loads(run(*sbom, folder=PROJECT / "web_demo")), cpp_parts(zig)
    for part in bill["components"]:  # pip notes the path that our wheels came from
        part["externalReferences"] = [link for link in part.get("externalReferences", ()) if not link["url"].startswith("file:")]
    page = web["metadata"]["component"]
    bill["components"] += [*parts, page, *web["components"]]
    made_of = [part["bom-ref"] for part in (*parts, page)]
    (root,) = (link for link in bill["dependencies"] if link["ref"] == bill["metadata"]["component"]["bom-ref"])
    root["dependsOn"] = [*root.get("dependsOn", ()), *made_of]
    bill["dependencies"] += [*({"ref": part["bom-ref"]} for part in parts), *web["dependencies"]]
    write_json(out, bill)
    run(tool, "-c", VALIDATE, out.resolve())
