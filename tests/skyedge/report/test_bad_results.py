"""Result files that no benchmark writes are refused, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.errors import InputError
from skyedge.report.build import ReportConfig, report

pytestmark = pytest.mark.slow
Change = Callable[[dict[str, Any]], None]
Changed = Callable[[str, Change], Path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda results: results.update(surprise=1), "surprise"),
        (lambda results: results.update(schema_version=1), "schema_version: got 1, expected 2; update skyedge"),
        (
            lambda results: results["rows"][0].update(artifact="gone"),
            r"rows\[0\].artifact: got 'gone', expected one of .*unet_lite",
        ),
        (lambda results: results.update(reference="gone"), "reference: got 'gone'"),
        (lambda results: results.update(created_utc="2026-13-01T00:00:00Z"), "created_utc: got '2026-13"),
        (lambda results: results["machine"].update(cpu_flags=5), "machine.cpu_flags: got 5, expected a list"),
        (lambda results: results["machine"].pop("architecture"), "missing key machine.architecture; expected exactly name, cpu"),
        (lambda results: results["rows"][0]["infer"].update(samples_us=[]), "samples_us"),
    ],
)
def test_a_file_that_breaks_the_schema_is_refused(change: Change, message: str, changed: Changed, tmp_path: Path) -> None:
    path = changed("bad.json", change)
    with pytest.raises(InputError, match=message):
        report(ReportConfig((path,), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["infer", "end_to_end"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0", "p50_ms: got 0, expected 0.0001 to"),
        ("5e-324", "p50_ms: got 5e-324, expected 0.0001 to"),
        ("-1", "p50_ms: got -1, expected 0.0001"),
        ("NaN", "the number NaN, expected a finite one"),
        ("-Infinity", "the number -Infinity"),
        ("1e400", "the number 1e400, expected a finite one"),
        ("1" + 400 * "0", "p50_ms: got 10000"),
        ("1" + 9999 * "0", "is not JSON"),
        ("null", "p50_ms: got None, expected 0.0001 to"),
        ('"\\ud800"', "not JSON .*surrogates"),
        ("[" * 100_000, "not JSON|nested too deeply"),
    ],
)
def test_figures_that_cannot_be_are_refused(name: str, value: str, message: str, changed: Changed, tmp_path: Path) -> None:
    path = changed("bad.json", lambda results: results["rows"][0][name].update(p50_ms="HERE"))
    path.write_text(path.read_text().replace('"HERE"', value))
    with pytest.raises(InputError, match=message):
        report(ReportConfig((path,), out=tmp_path / "out"))


def test_texts_that_cannot_be_written_are_refused(changed: Changed, measured: Path, tmp_path: Path) -> None:
    path = changed("bad.json", lambda results: results["machine"].update(name="\ud800"))
    with pytest.raises(InputError, match=r"not JSON .*ud800.*surrogates not allowed"):
        report(ReportConfig((path,), out=tmp_path / "out"))
    (tmp_path / "README.md").write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot read .*README.md: 'utf-8'"):
        report(ReportConfig((measured,), out=tmp_path / "out", readme=tmp_path / "README.md"))
    path.write_bytes(b"\xff{}")
    with pytest.raises(InputError, match="bad.json: 'utf-8'"):
        report(ReportConfig((path,), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
