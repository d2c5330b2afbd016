"""What a release promises: one version everywhere, and artifacts that keep their hashes on every machine."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_there_is_one_version() -> None:
    version = PROJECT["version"]
    assert json.loads((ROOT / "web_demo" / "package.json").read_text(encoding="utf-8"))["version"] == version
    assert f"skyedge-models>={version}" in PROJECT["optional-dependencies"]["models"][0]
    models = tomllib.loads((ROOT / "models" / "pyproject.toml").read_text(encoding="utf-8"))
    source = models["tool"]["hatch"]["version"]
    found = re.search(source["pattern"], (ROOT / "models" / source["path"]).read_text(encoding="utf-8"))
    assert found is not None and found["version"] == version and "version" not in models["project"]
    assert f"\n## [{version}] - 20" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no clone of the repository")
def test_artifacts_keep_their_hashes_where_git_changes_line_endings(tmp_path: Path) -> None:
    clone = ["git", "-c", "core.autocrlf=true", "-c", "core.eol=crlf", "clone", "--quiet", "--shared", ROOT, tmp_path / "clone"]
    subprocess.run(clone, check=True, timeout=300)
    specs = sorted((tmp_path / "clone" / "models").glob("*/*/model.json"))
    assert len(specs) > 20
    for path in specs:
        for entry in json.loads(path.read_text(encoding="utf-8"))["files"].values():
            content = (path.parent / entry["path"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == entry["sha256"], f"{path.parent}: {entry['path']}"
    assert b"\r" not in (tmp_path / "clone" / ".ci" / "run").read_bytes()
