"""Let a file stand in a second folder without a second copy of its bytes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file over whatever is at `target`, or copy its bytes where the file system cannot link."""
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)  # resolved: a link to a symbolic link would break when the source moves
    except OSError:
        shutil.copyfile(source, target)
