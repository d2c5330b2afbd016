"""The rooms of cpp_demo: includes go down, folders stay small, and the core includes nothing but itself and ncnn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "cpp_demo"
# From the ground up: a room includes headers of its own and of lower floors.
FLOORS = (
    {"include/skyedge"},
    {"core/image", "core/artifact"},
    {"core/network", "core/mask"},
    {"codec"},
    {"cli", "cli/bench", "cli/video"},
)
NCNN = {"allocator.h", "cpu.h", "datareader.h", "gpu.h", "mat.h", "net.h", "platform.h"}
MOST_FILES = 12
ROOMS = sorted(room for rooms in FLOORS for room in rooms)


def floor_of(room: str) -> int:
    return next(level for level, rooms in enumerate(FLOORS) if room in rooms)


def sources(room: str) -> list[Path]:
    return sorted(path for path in (ROOT / room).iterdir() if path.suffix in (".h", ".cpp"))


def test_every_source_is_in_a_room() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() for top in ("include", "core", "codec", "cli")
               for path in (ROOT / top).rglob("*.[hc]*") if path.is_file() and path.suffix in (".h", ".cpp")}  # fmt: skip
    assert folders == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_includes_go_down(room: str) -> None:
    for path in sources(room):
        for header in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE):
            name = f"include/{header}" if header.startswith("skyedge/") else header
            target = name.rpartition("/")[0]
            if header in NCNN:
                assert room.startswith(("core/network", "cli")), f"{path.name} includes {header} of ncnn"
            elif floor_of(room) < len(FLOORS) - 1:
                assert target == room or floor_of(target) < floor_of(room), f"{path.name} includes {header}"
            else:
                assert (ROOT / name).is_file(), f"{path.name} includes {header}"


@pytest.mark.parametrize("room", [*ROOMS, "fuzz", "tests", "tests/units", "tests/helpers", "cmake"])
def test_rooms_stay_small(room: str) -> None:
    files = [path.name for path in (ROOT / room).iterdir() if path.is_file()]
    assert len(files) <= MOST_FILES, files
