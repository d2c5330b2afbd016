"""What all studies share: pages come from the figures alone, results lie in the study's folder, refusals name the flag."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.errors import InputError
from studies.harness import RESULTS, Study, StudyConfig, require, table

pytestmark = pytest.mark.slow
PROJECT_ROOT = Path(__file__).resolve().parents[2]
FILES = {path.stem: path for path in sorted((PROJECT_ROOT / "studies").glob("*.py"))}
STUDIES = [name for name, path in FILES.items() if "\nSTUDY = " in path.read_text()]


def study(name: str) -> Study[Any]:
    found: Study[Any] = importlib.import_module(f"studies.{name}").STUDY
    return found


@pytest.mark.parametrize("name", STUDIES)
def test_committed_pages_are_those_of_their_figures(name: str) -> None:
    folder = PROJECT_ROOT / RESULTS / name
    results = sorted(folder.glob("*.json"))
    assert study(name).name == name and study(name).config().out == RESULTS / name
    for path in results:
        page = study(name).markdown(json.loads(path.read_text()))
        assert path.with_suffix(".md").read_text() == page, f"python studies/{name}.py --render writes it anew"


def test_every_folder_of_results_has_its_study() -> None:
    folders = {path.name for path in (PROJECT_ROOT / RESULTS).iterdir() if path.is_dir()}
    assert folders <= {*STUDIES, "consumers", "devices", "cpp"}
    assert len(STUDIES) >= 5 and len(folders) >= 5


def test_pages_are_written_again_from_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def measure(config: StudyConfig) -> Any:
        yield "one", {"name": "<b>", "value": 1}
        yield "one", {"name": "<b>", "value": None}

    def page(figures: dict[str, Any]) -> list[str]:
        return table(["name", "value"], "lr", [[figures["name"], figures["value"]]])

    made = Study("made", "Made of {name}", StudyConfig, measure, page)
    made.main(StudyConfig(out=tmp_path))
    text = "# Made of &lt;b>\n\nWritten by `python studies/made.py`.\n\n| name | value |\n|---|---:|\n| &lt;b> | - |\n"
    assert (tmp_path / "one.md").read_text() == text and capsys.readouterr().out == f"{text}\n{tmp_path / 'one.md'}\n"
    (tmp_path / "one.md").unlink()
    (tmp_path / "one.json").write_text('{"name": "b", "value": 2}')
    made.main(StudyConfig(out=tmp_path, render=True))
    assert "| b | 2 |" in (tmp_path / "one.md").read_text()
    with pytest.raises(InputError, match="expected NAME.json; leave --render out"):
        made.main(StudyConfig(out=tmp_path / "nothing", render=True))
    (tmp_path / "one.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        made.main(StudyConfig(out=tmp_path, render=True))


def test_a_value_that_is_too_small_is_named() -> None:
    with pytest.raises(InputError, match="got --out-name 0, expected 1 or more"):
        require(type("Config", (), {"out_name": 0})(), 1, "out_name")
    with pytest.raises(InputError, match=r"got --threads \(1, 0\), expected 1 or more"):
        require(type("Config", (), {"threads": (1, 0)})(), 1, "threads")
