"""What all pages of a report share: their templates, and the mark by which a report knows the files that it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from edge_runtime.errors import InputError
from edge_runtime.escape import plain

MARK = "made by skyedge report"


def render(template: str, **values: Any) -> str:
    """Return a template of this folder with `values` filled in; texts lose control characters and are escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: plain(value) if type(value) is str else value,
    )
    return environment.get_template(template).render(mark=MARK, **values)


def check_ours(path: Path, overwrite: bool) -> None:
    """Raise `InputError` where `path` is a file that no report wrote, unless `overwrite`."""
    if path.is_file() and not overwrite and MARK.encode() not in path.read_bytes():
        raise InputError(f"got {path}, which no report wrote; choose another --out, or replace the file with --overwrite")
