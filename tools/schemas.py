"""Write the JSON schemas of `model.json` and of result files from their dataclasses: `python tools/schemas.py`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edge_runtime.artifact import spec  # noqa: E402
from edge_runtime.benchmark import results  # noqa: E402
from edge_runtime.files import write_json  # noqa: E402

if __name__ == "__main__":
    write_json(spec.SCHEMA_PATH, spec.spec_schema())
    write_json(results.SCHEMA_PATH, results.results_schema())
