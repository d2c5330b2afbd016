"""`skyedge bench`: edge_runtime makes a result file of its raw samples, with the facts that the Python benchmark finds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.benchmark.machine import describe_machine
from edge_runtime.benchmark.results import SCHEMA_PATH, Rule, judge, read_results, write_results
from edge_runtime.errors import InputError
from skyedge.report.build import ReportConfig, report

pytestmark = pytest.mark.slow


def bench(skyedge: Path, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `skyedge bench` for a moment."""
    command = [skyedge, "bench", "--runs", "12", "--seconds", "0.05", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def two_artifacts(artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `a/ncnn` and `b/ncnn`, two copies of one artifact, whose names clash."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("a", "b"):
        shutil.copytree(artifacts["ncnn-fp32"], folder / name / "ncnn")
    return folder


@pytest.fixture(scope="module")
def result(skyedge: Path, two_artifacts: Path) -> dict[str, Any]:
    """Return what `--json FILE` wrote for both."""
    done = bench(skyedge, "--model", "a/ncnn", "--model=b/ncnn", "--json", "result.json", cwd=two_artifacts)
    assert done.returncode == 0 and not done.stdout, done.stderr
    return json.loads((two_artifacts / "result.json").read_text())


def test_the_json_becomes_a_result_file(result: dict[str, Any], two_artifacts: Path, tmp_path: Path) -> None:
    results = read_results(two_artifacts / "result.json")
    assert results.machine.instruction_set == describe_machine().instruction_set
    assert results.quick and results.rule == Rule(turns=10, min_runs=12, min_seconds=0.05)
    assert result["frame"] == {"height": 480, "width": 640, "content": "a generated gradient with noise"}
    assert results.warnings == judge(results.rows, results.load, results.machine.cores)
    write_results(results, tmp_path / "whole.json")
    jsonschema.validate(json.loads((tmp_path / "whole.json").read_text()), json.loads(SCHEMA_PATH.read_text()))
    assert read_results(tmp_path / "whole.json") == results


@pytest.mark.parametrize("from_pipe", [False, True])
def test_a_command_prints_the_table(from_pipe: bool, result: dict[str, Any], two_artifacts: Path) -> None:
    command = [sys.executable, "-m", "edge_runtime.benchmark.table", "-" if from_pipe else "result.json"]
    text = (two_artifacts / "result.json").read_text() if from_pipe else None
    done = subprocess.run(command, cwd=two_artifacts, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for row in result["rows"]:
        median = np.median(row["infer"]["samples_us"]) / 1000
        assert row["artifact"] in done.stdout and f"{median:.2f} / " in done.stdout
    assert "quick: " in done.stdout


def test_the_report_takes_it(result: dict[str, Any], two_artifacts: Path, tmp_path: Path) -> None:
    report(ReportConfig((two_artifacts / "result.json",), out=tmp_path / "page"))
    page = (tmp_path / "page" / "index.html").read_text()
    assert "ncnn (C++)" in page and "unet_lite_s" in page


def test_facts_are_those_that_python_finds(result: dict[str, Any], two_artifacts: Path) -> None:
    machine = describe_machine()
    for key in ("name", "cpu", "architecture", "cores", "governor", "max_mhz", "virtual", "memory_bytes", "os", "kernel"):
        assert result["machine"][key] == getattr(machine, key), key
    assert tuple(result["machine"]["cpu_flags"]) == machine.cpu_flags
    assert set(result["machine"]["tools"]) == {"skyedge", "ncnn", "compiler"}
    artifact = read_artifact(two_artifacts / "a" / "ncnn")
    name = artifact.spec.name
    assert [fact["key"] for fact in result["artifacts"]] == [f"{name} (a/ncnn)", f"{name} (b/ncnn)"]
    for fact in result["artifacts"]:
        assert (fact["sha256"], fact["size_bytes"], fact["precision"]) == (artifact.sha256, artifact.size_bytes, "fp32")
        assert (fact["input_height"], fact["input_width"]) == artifact.size
        assert fact["macs"] == artifact.spec.provenance["macs"]
        assert fact["memory"]["baseline_bytes"] < fact["memory"]["peak_bytes"]
    # Each ran in a process of its own, so the second does not carry the first one's memory.
    first, second = (fact["memory"]["peak_bytes"] for fact in result["artifacts"])
    assert second < 1.2 * first
    assert [fact["folder"] for fact in result["artifacts"]] == ["a/ncnn", "b/ncnn"]


def test_samples_are_raw(result: dict[str, Any], two_artifacts: Path) -> None:
    assert [row["artifact"] for row in result["rows"]] == [fact["key"] for fact in result["artifacts"]]
    for row, whole in zip(result["rows"], read_results(two_artifacts / "result.json").rows, strict=True):
        assert row["threads"] == 1 and row["device"] == "cpu" and row["label"] == "ncnn (C++) fp32, cpu"
        for kind in ("infer", "end_to_end"):
            samples, timing = row[kind]["samples_us"], getattr(whole, kind)
            assert set(row[kind]) == {"cpu_seconds", "samples_us"} and min(samples) > 0
            assert timing.runs == len(samples) >= 12 and timing.seconds == pytest.approx(sum(samples) / 1e6, abs=1e-3)
            assert timing.seconds >= 0.05 and timing.samples_us == tuple(samples)
            assert timing.p90_ms == pytest.approx(float(np.percentile(samples, 90)) / 1000, abs=6e-5)
            assert timing.cores_used == pytest.approx(row[kind]["cpu_seconds"] / (sum(samples) / 1e6), abs=0.006)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("raw_version", 2, "raw_version: got 2, expected 1"),
        ("rows", [], "rows: got "),
        ("rows", 3, "rows: got 3, expected a list"),
        ("color", "blue", "unknown key color"),
    ],
)
def test_a_damaged_raw_file_is_refused(key: str, value: Any, said: str, result: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(result | {key: value}))
    with pytest.raises(InputError, match=said):
        read_results(tmp_path / "r.json")


@pytest.mark.parametrize("samples", [[], [0, 0], [-1], [1.5], "text", None])
def test_samples_that_are_none_are_refused(samples: Any, result: dict[str, Any], tmp_path: Path) -> None:
    row = result["rows"][0]
    damaged = row | {"infer": row["infer"] | {"samples_us": samples}}
    (tmp_path / "r.json").write_text(json.dumps(result | {"rows": [damaged]}))
    with pytest.raises(InputError, match=r"rows\[0\].infer"):
        read_results(tmp_path / "r.json")


def test_json_to_stdout_for_an_image(skyedge: Path, two_artifacts: Path, scene_dir: Path) -> None:
    scene = next((scene_dir / "test" / "images").iterdir())
    words = ("--model", "a/ncnn", "--threads", "2", "--device-name", "Röhre", "--input", scene)
    done = bench(skyedge, *words, cwd=two_artifacts)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["frame"] == {"height": 240, "width": 320, "content": f"the image {scene.name}"}
    assert shown["machine"]["name"] == "Röhre" and shown["rows"][0]["threads"] == 2


def test_file_to_file_step_by_step(skyedge: Path, two_artifacts: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    cv2.imwrite(str(photo), np.random.default_rng(1).integers(0, 256, (900, 1200, 3), dtype=np.uint8))
    words = ("--model", "a/ncnn", "--input", photo, "--file-to-file", "--json", tmp_path / "r.json")
    done = bench(skyedge, *words, cwd=two_artifacts)
    assert done.returncode == 0, done.stderr
    steps = read_results(tmp_path / "r.json").rows[0].file_to_file
    assert steps is not None and list(steps) == ["read", "resize", "network", "enlarge", "write"]
    assert len({len(samples) for samples in steps.values()}) == 1 and all(sum(samples) > 0 for samples in steps.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "missing"), "no such folder"),
        (("--model", "a/ncnn", "--model", "a/ncnn"), "twice in --model"),
        (("--model", "a/ncnn", "--input", "missing.png"), "missing.png"),
        (("--model", "a/ncnn", "--json", "nowhere/result.json"), "cannot write"),
    ],
)
def test_refusals(skyedge: Path, two_artifacts: Path, words: tuple[str, ...], said: str) -> None:
    done = bench(skyedge, *words, cwd=two_artifacts)
    assert done.returncode == 2
    assert "error: " in done.stderr and said in done.stderr


def test_an_artifact_that_does_not_run_is_named(skyedge: Path, two_artifacts: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(two_artifacts / "a" / "ncnn", broken)
    spec = json.loads((broken / "model.json").read_text())
    spec["output"]["name"] = "nothing"
    (broken / "model.json").write_text(json.dumps(spec))
    whole = two_artifacts / "b" / "ncnn"
    done = bench(skyedge, "--model", whole, "--model", broken, "--json", tmp_path / "out.json", cwd=tmp_path)
    assert done.returncode == 2
    assert f"artifact {broken} does not run" in done.stderr and "latency: turn" not in done.stderr
    assert not (tmp_path / "out.json").exists()
