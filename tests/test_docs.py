"""Every path, module, verb, make target and flag that a page names exists."""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

from skyedge.command import VERBS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "web_demo" / "README.md",
    ROOT / "cpp_demo/android/README.md",
]
TOP = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - {"build", "dist", "runs"}
BASES = [ROOT / name for name in ("", "cpp_demo", "cpp_demo/include", "web_demo", "web_demo/src", "web_demo/public")]
MADE = ("cpp_demo/build", "web_demo/dist", "web_demo/node_modules", "web_demo/public/")  # by a build
CODE = re.compile(r"^```\w*\n(.*?)^```|`([^`\n]+)`", flags=re.M | re.S)
PLACE = re.compile(
    r"(?<![\w./-])[\w.-]+(?:/[\w.-]+)*/(?:[\w.-]+\.(?:py|json|md|cpp|h|ts|mjs|cmake|sh|csv|yaml|toml|j2|svg)\b)?(?![\w*-])"
)
COMMAND = re.compile(r"\bpython3? (?:-m ([\w.]+)|([\w/]+\.py))([^\n`|]*)|\bskyedge (?!verb)([a-z]+)\b([^\n`|]*)")
FLAG = re.compile(r"(?<=\s)--(?:no-)?([a-z][\w-]+)")


def code(page: Path) -> list[str]:
    return ["".join(found).replace("\\\n", " ") for found in CODE.findall(page.read_text(encoding="utf-8"))]


@cache
def names(path: Path, depth: int = 3) -> frozenset[str]:
    """Return every name that a file and the files of ours that it imports define as a field or an argument."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {node.target.id for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    found |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for node in ast.walk(tree) if depth else ():
        if isinstance(node, ast.ImportFrom) and (inner := source(node.module or "")) is not None and inner != path:
            found |= names(inner, depth - 1)
    return frozenset(found)


def source(module: str) -> Path | None:
    """Return the file of a module of ours; of a package, the one that `python -m` runs."""
    base = ROOT.joinpath(*module.split("."))
    choices = (base.with_suffix(".py"), base / "__main__.py", base / "__init__.py")
    return next((path for path in choices if path.is_file()), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_paths_are_there(page: Path) -> None:
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    for text in code(page):
        places = [place for place in PLACE.findall(text) if place.split("/")[0] in TOP and not place.startswith(MADE)]
        missing = [
            place for place in places if not re.search("[A-Z]{3}", place) and not any((base / place).exists() for base in BASES)
        ]
        assert not missing, f"{page.name} names {missing} in: {text}"
        for target in re.findall(r"^make ([a-z][\w-]*)|(?<=\n)make ([a-z][\w-]*)", text):
            assert set(target) & targets, f"{page.name} names make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_have_the_flags_that_are_named(page: Path) -> None:
    for text in code(page):
        for module, file, flags, verb, more in COMMAND.findall(text):
            if verb:
                if verb not in VERBS:
                    continue  # of the C++ program, or a word
                path = source(VERBS[verb][0])
            elif module and module.split(".")[0] not in TOP:
                assert importlib.util.find_spec(module.split(".")[0]) or module in ("pip", "export"), f"{page.name}: {module}"
                continue
            else:
                path = source(module) if module else ROOT / file
            assert path is not None and path.is_file(), f"{page.name} names {module or file or verb}, which is not here"
            known = names(path)
            wrong = [flag for flag in FLAG.findall(flags or more) if not {flag, flag.replace("-", "_"), f"--{flag}"} & known]
            assert not wrong, f"{page.name}: {module or file or verb} has no {wrong}"
