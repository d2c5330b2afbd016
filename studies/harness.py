"""What all studies share: the command line, the table, the head of the page, and the files in `results/STUDY/`.

A study measures and describes; `Study` does the rest. Each result is NAME.json with all figures, and NAME.md, which is
written from it: `python studies/X.py --render` writes the pages anew from the results that are there.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.errors import InputError
from edge_runtime.escape import markdown, markdown_table
from edge_runtime.files import write_json, write_text
from edge_runtime.records import parse_json, read_text

PROJECT_ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path("results")
Figures = dict[str, Any]  # what a result file holds


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What every study takes."""

    out: Path
    """Folder for NAME.json and NAME.md."""
    render: bool = False
    """Measure nothing: write the pages of the results that are in the folder anew."""


C = TypeVar("C", bound=StudyConfig)


@dataclass(frozen=True)
class Study(Generic[C]):
    """One study.

    Attributes
    ----------
    name
        Its module and the folder of its results.
    title
        Heads its pages; may name keys of the figures in braces.
    config
        Its command line.
    measure
        Yields name and figures of each result. A name may come again with more figures, so that a stop loses little.
    page
        Returns the page of the figures below its head, as lines of Markdown.
    """

    name: str
    title: str
    config: type[C]
    measure: Callable[[C], Iterable[tuple[str, Figures]]]
    page: Callable[[Figures], list[str]]

    def run(self) -> None:
        """Be the command."""
        run_command(self.main, self.config)

    def main(self, config: C) -> None:
        """Measure and write, or only write; then print the pages and where they are."""
        pages: dict[Path, str] = {}
        for name, figures in self._saved(config.out) if config.render else self.measure(config):
            path = config.out / f"{name}.md"
            pages[path] = self.markdown(figures)
            if not config.render:
                write_json(path.with_suffix(".json"), figures)
            write_text(path, pages[path])
        for path, text in pages.items():
            print(f"{text}\n{path}")

    def markdown(self, figures: Figures) -> str:
        """Return the page of a result."""
        head = [f"# {markdown(self.title.format_map(figures))}", "", f"Written by `python studies/{self.name}.py`.", ""]
        return "\n".join([*head, *self.page(figures)]).rstrip() + "\n"

    def _saved(self, folder: Path) -> Iterable[tuple[str, Figures]]:
        paths = sorted(folder.glob("*.json"))
        if not paths:
            raise InputError(f"got no result in {folder}, expected NAME.json; leave --render out to measure")
        for path in paths:
            yield path.stem, parse_json(read_text(path, "a result of this study"), f"{path} of this study")


def table(head: Sequence[str], aligned: str, rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a Markdown table: `aligned` has `l` or `r` for each column, cells are escaped, None is a dash."""
    shown = [["-" if cell is None else markdown(cell) for cell in row] for row in rows]
    return markdown_table([*head], aligned, shown)


def model_facts(artifact: Artifact) -> Figures:
    """Return what identifies an artifact in a result file."""
    return {"name": artifact.spec.name, "sha256": artifact.sha256}


def require(config: StudyConfig, least: int, *names: str) -> None:
    """Raise `InputError` that names the first of these fields with a value below `least`."""
    for name in names:
        value = getattr(config, name)
        if min(value if isinstance(value, tuple) else (value,), default=least - 1) < least:
            raise InputError(f"got --{name.replace('_', '-')} {value}, expected {least} or more")
