"""Whatever text a user writes into a file or behind a flag: it works, or the error says got, expected, next step."""

from __future__ import annotations
from edge_runtime.cli import parse

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs
from edge_runtime.images.network_input import Size
from export.from_classes import read_class_map
from scenes.render import MANIFEST_FIELDS, _other_rows
from skyedge.batch.sources import images
from skyedge.correct.run import Correct, read_strokes
from train.data.corrections import read_corrections
from train.data.teachers import RECORD, read_record

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
MANY = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
NEXT_STEP = re.compile(r"; | such as | for example | or ")


@dataclass(frozen=True)
class Job:
    """A command's config."""

    out: Path = Path("o")
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reader:
    """A reader of files: the name that its file has, a text that it takes, and the call, which gets the file's path."""

    file: str
    good: str
    read: Callable[[Path], object]


FILES: dict[str, Reader] = {
    "manifest": Reader("manifest.csv", "id,source,scene\na,phone,street\n", lambda path: find_pairs(path.parent, masks=False)),
    "corrections": Reader("c.csv", "id,height,width,runs,reason\na,2,3,2 4,fence\nb,1,1,0 1,\n", read_corrections),
    "config": Reader("c.yaml", "out: a\nsizes: [1, 2]\n", lambda path: parse(["--config", str(path)], Job)),
    "list as CSV": Reader("l.csv", "uri;place\na.jpg;Oslo\n/b.jpg;Rome\n", lambda path: list(images(str(path), ["place"]))),
    "list as JSON lines": Reader("l.jsonl", '{"uri": "a.jpg"}\n{"uri": "/b.jpg"}\n', lambda path: list(images(str(path)))),
    "class map": Reader("m.json", '{"classes": 19, "sky": [10]}', lambda path: read_class_map(str(path))),
    "manifest of scenes": Reader(
        "m.csv",
        f"{','.join(MANIFEST_FIELDS)}\n{','.join('x' * len(MANIFEST_FIELDS))}\n",
        lambda path: _other_rows(path, "train", set()),
    ),
    "note of teachers": Reader(RECORD, '{"about": []}', lambda path: read_record(path.parent)),
}
FLAGS: dict[str, tuple[str, Callable[[str], object]]] = {
    "--size": ("256x192", Size.parse),
    "--sky": ("5,7", lambda text: read_strokes(Correct(Path("a.jpg"), Path("a.png"), sky=(text,)), (20, 20))),
}
PIECES = st.sampled_from([
    "\0", "\n", "\r", '"', "'", ",", ";", "\t", "[", "{", "&a ", "*a", "!!python/object:os ", "%", "#", "/", "é", "\u0663",
    "\ud800", "-1", "0", "1e999", "NaN", "9" * 30, "9" * 5000, "null",
    "x" * 200_000, "[" * 20_000, "\ufeff",
])  # fmt: skip


@st.composite
def edited(draw: st.DrawFn, good: str) -> str:
    """Return a good text with pieces put in and parts cut out, or any text at all."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.text())
    text = good
    for _ in range(draw(st.integers(1, 4))):
        at, cut = draw(st.integers(0, len(text))), draw(st.integers(0, 5))
        text = text[:at] + draw(PIECES | st.text(max_size=3)) + text[at + cut :]
    return text


def works_or_helps(read: Callable[[], object]) -> None:
    """Run a reader; an error has to be an `InputError` with got, expected, next step."""
    try:
        read()
    except InputError as error:
        said = str(error)
        assert "expected" in said and NEXT_STEP.search(said), said[:400]


@pytest.mark.parametrize("name", FILES)
@MANY
@given(data=st.data())
@example(data=None)
def test_files(name: str, data: st.DataObject | None) -> None:
    reader = FILES[name]
    text = reader.good if data is None else data.draw(edited(reader.good))
    encoding = "utf-8" if data is None else data.draw(st.sampled_from(["utf-8", "utf-8", "utf-16", "latin-1"]))
    errors = "surrogatepass" if encoding == "utf-8" else "replace"
    with tempfile.TemporaryDirectory() as folder:
        Image.new("RGB", (2, 2)).save(Path(folder) / "a.jpg")
        path = Path(folder) / reader.file
        path.write_bytes(text.encode(encoding, errors))
        if data is None:
            reader.read(path)
        else:
            works_or_helps(lambda: reader.read(path))


@pytest.mark.parametrize("name", FLAGS)
@MANY
@given(data=st.data())
@example(data=None)
def test_flags(name: str, data: st.DataObject | None) -> None:
    good, read = FLAGS[name]
    if data is None:
        read(good)
    else:
        works_or_helps(lambda: read(data.draw(edited(good))))
