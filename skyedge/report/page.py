"""What all pages of a report share: their templates, and the mark by which a report knows the files that it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

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


def is_ours(path: Path) -> bool:
    """Tell whether a report wrote the file."""
    return path.is_file() and MARK.encode() in path.read_bytes()
