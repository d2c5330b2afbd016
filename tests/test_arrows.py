"""Imports point one way: the map of docs/architecture.md, held by the imports of every file."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What a folder may import of ours. A folder always may import itself.
FOLDERS = {
    "edge_runtime": set(),
    "skyedge": {"edge_runtime"},
    "scenes": {"edge_runtime"},
    "train": {"edge_runtime", "scenes"},
    "export": {"edge_runtime", "scenes", "train"},
    "quantize": {"edge_runtime", "scenes", "train", "export"},
    "studies": {"edge_runtime", "skyedge", "scenes", "train", "export", "quantize"},
}
# The floors of a house, from the ground up: a room imports only rooms of lower floors.
FLOORS = {
    "edge_runtime": (
        {"errors"},
        {"files", "cli", "cores", "progress", "records", "escape", "child"},
        {"images", "artifact"},
        {"backends"},
        {"models"},
        {"segmenter"},
        {"masks", "metrics", "verify"},
        {"segment", "video"},
        {"benchmark"},
    ),
    "skyedge": (
        {"models", "skyseg", "replace", "correct", "serve", "batch", "devices", "report"},
        {"command"},
        {"__main__"},
    ),
}
# Libraries with a command line of their own.
LIBRARIES = {"scenes.render", "scenes.moving"}


@cache
def modules() -> dict[str, Path]:
    """Return every module of ours by its dotted name."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(name: str) -> frozenset[str]:
    """Return the modules of ours that module `name` imports, at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if each in modules() else node.module for each in inner}
    return frozenset(module for module in found if module in modules())


def is_command(name: str) -> bool:
    """Tell whether a module is run from the command line."""
    return "__name__ ==" in modules()[name].read_text(encoding="utf-8")


def floor_of(house: str, room: str) -> int:
    return next(level for level, rooms in enumerate(FLOORS[house]) if room in rooms)


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_import_one_way(folder: str) -> None:
    for name in (name for name in modules() if name.split(".")[0] == folder):
        others = {module for module in imports(name) if module.split(".")[0] != folder}
        wrong = {module for module in others if module.split(".")[0] not in FOLDERS[folder]}
        assert not wrong, f"{name} imports {wrong}"
        if folder == "export":
            deep = {module for module in others if module.startswith("train") and not module.startswith("train.models")}
            assert not deep, f"{name} imports {deep}, expected of train only train.models"


@pytest.mark.parametrize("house", FLOORS)
def test_rooms_import_downward(house: str) -> None:
    inside = [name for name in modules() if name.startswith(f"{house}.")]
    assert {name.split(".")[1] for name in inside} == set().union(*FLOORS[house])
    for name in inside:
        room = name.split(".")[1]
        for module in (module for module in imports(name) if module.startswith(f"{house}.")):
            other = module.split(".")[1]
            assert other == room or floor_of(house, other) < floor_of(house, room), f"{name} imports {module}"


def test_commands_do_not_import_commands() -> None:
    for name in (name for name in modules() if is_command(name) and not name.startswith("studies.")):
        wrong = {module for module in imports(name) - LIBRARIES if is_command(module)}
        assert not wrong, f"{name} imports {wrong}: what both need belongs to a room"


def test_rooms_are_small_and_say_what_they_are_for() -> None:
    for name, path in modules().items():
        if path.name == "__init__.py":
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{name} has no docstring"
            count = len([file for file in path.parent.iterdir() if file.suffix == ".py" and file.name != "__init__.py"])
            assert count <= 12 or name in ("studies", "scenes.parts"), f"{name} has {count} files, expected at most 12"
