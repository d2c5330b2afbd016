"""Every console and Python block of README.md and docs/ runs, in the page's order, and prints what the page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.artifact.spec import parse_spec

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", flags=re.M | re.S)
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d+)?")
LINK = re.compile(r"\]\(([^)#:]+)\)")


def _run(words: list[str]) -> str:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, f"$ {shlex.join(words)}\n{result.stdout}{result.stderr}"
    return "".join(line.rstrip() + "\n" for line in result.stdout.splitlines() if line.strip())


def _remove_outputs(page: str) -> None:
    """Remove the files that an earlier run of a page left: commands refuse to replace some."""
    for name in re.findall(r"--out (build/\S+\.\w+)", page):
        (ROOT / name).unlink(missing_ok=True)


def _shape(text: str) -> list[str]:
    """Return the lines without what differs from run to run: figures, the space that aligns them, who is the fastest."""
    lines = (re.sub(r"[\s━─]+", " ", NUMBER.sub("#", line)).strip() for line in text.splitlines())
    return sorted(line for line in lines if not line.startswith("warning: "))


@pytest.mark.parametrize("path", [path for path in PAGES if BLOCK.search(path.read_text())], ids=lambda path: path.stem)
def test_commands_print_what_the_page_shows(path: Path, request: pytest.FixtureRequest) -> None:
    page = path.read_text()
    _remove_outputs(page)
    for language, block in BLOCK.findall(page):
        if language == "python":
            _run([sys.executable, "-c", block])
            continue
        said = ""
        for command in (line[2:] for line in block.splitlines() if line.startswith("$ ")):
            words = shlex.split(command)
            if words[0] not in ("python", "skyedge") and not (ROOT / words[0]).exists():
                pytest.fail(f"{path.name} runs {words[0]}, which is not here; `make cpp` builds the C++ demo")
            said += f"$ {command}\n{_run(words)}"
        if request.config.getoption("--rewrite-readme"):
            page = page.replace(f"```console\n{block}```", f"```console\n{said}```")
        else:
            assert _shape(said) == _shape(block), "pytest tests/test_readme.py --rewrite-readme writes what is printed now"
    if request.config.getoption("--rewrite-readme"):
        path.write_text(page)


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    links = LINK.findall(path.read_text())
    missing = [link for link in links if not (path.parent / link).resolve().exists()]
    assert not missing, f"{path.name} links to {missing}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_example_of_the_contract_is_a_real_spec() -> None:
    example = re.search(r"^```json\n(.*?)^```", (ROOT / "docs" / "contract.md").read_text(), flags=re.M | re.S)
    assert example is not None
    shown = parse_spec(example[1])
    released = parse_spec((ROOT / "models" / "unet_lite_s" / "tflite-int8" / "model.json").read_text())
    assert (shown.input, shown.output, shown.files.keys()) == (released.input, released.output, released.files.keys())


def test_figures_come_from_a_committed_result(tmp_path: Path) -> None:
    """README.md has at most 8 rows of them, docs/benchmarks.md all."""
    results = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "results").glob("*.json"))
    assert results, "no committed result file; make bench writes one"
    pages = {"--readme": ROOT / "README.md", "--table": ROOT / "docs" / "benchmarks.md"}
    flags: list[str] = []
    for flag, page in pages.items():
        emptied = re.sub(r"(<!-- benchmark:begin -->).*(<!-- benchmark:end -->)", r"\1\n\2", page.read_text(), flags=re.S)
        (tmp_path / page.name).write_text(emptied)
        flags += [flag, str(tmp_path / page.name)]
    _run([sys.executable, "-m", "skyedge.report", *results, "--out", str(tmp_path / "report"), *flags])
    for page in pages.values():
        assert (tmp_path / page.name).read_text() == page.read_text(), f"make bench writes the tables of {page.name}"
    assert sum(line.startswith("| unet_lite") for line in (tmp_path / "README.md").read_text().splitlines()) <= 8
