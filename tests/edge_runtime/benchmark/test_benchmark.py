"""The benchmark on real exports: what it writes, that it measures what it says, and what it refuses."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.benchmark.accuracy import measure_accuracies
from edge_runtime.benchmark.latency import Runner, find_warnings, take_turns
from edge_runtime.benchmark.machine import busy_seconds, describe_machine, name_instruction_set
from edge_runtime.benchmark.memory import measure_apart
from edge_runtime.benchmark.results import FULL, QUICK, Load, Rule, default_out, read_results, results_schema
from edge_runtime.benchmark.run import BenchmarkConfig, benchmark
from edge_runtime.benchmark.timing import summarize
from edge_runtime.errors import InputError

pytestmark = pytest.mark.slow
KINDS = ("infer", "end_to_end")
SCHEMA = json.loads((Path(__file__).parents[3] / "edge_runtime" / "benchmark" / "results.schema.json").read_text())


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_runtime.benchmark", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def artifacts(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return released artifacts, and the torch artifact of the same network; a full export of all formats takes long."""
    released = project_root / "models" / "unet_lite_s"
    torch = tmp_path_factory.mktemp("torch") / "torch-fp32"
    command = [sys.executable, "export/to_torch.py", "--checkpoint", released / "checkpoint.pt", "--out", torch]
    subprocess.run(command, cwd=project_root, check=True, timeout=300)
    return {"torch-fp32": torch} | {name: released / name for name in ("onnx-fp32", "ncnn-fp16")}


@pytest.fixture(scope="module")
def results(
    artifacts: dict[str, Path], scene_dir: Path, project_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Return what a quick run over two artifacts wrote."""
    folder = tmp_path_factory.mktemp("benchmark")
    for name in ("onnx-fp32", "torch-fp32"):
        shutil.copytree(artifacts[name], folder / "models" / name)
    photo = project_root / "docs" / "photos" / "boat_sunset.jpg"
    flags = ("--quick", "--data", scene_dir, "--eval-count", "4", "--device", "cpu", "--file-to-file", photo)
    done = run("--models", "models", *flags, "--device-name", "test machine", "--out", "out/r.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert (
        "quick" in done.stdout
        and done.stdout.count("from file to file: ") == 2
        and "end_to_end" in done.stdout
        and done.stdout.rstrip().endswith("r.json")
    )
    assert [path.name for path in (folder / "out").iterdir()] == ["r.json"]
    loaded: dict[str, Any] = json.loads((folder / "out" / "r.json").read_text())
    return loaded


def test_result_file_obeys_the_schema(results: dict[str, Any]) -> None:
    jsonschema.validate(results, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert results["quick"] is True and results["machine"]["name"] == "test machine"
    assert results["machine"]["tools"]["numpy"] == np.__version__


def test_rows_are_labeled_as_what_they_are(results: dict[str, Any]) -> None:
    labels = {row["label"]: row["artifact"] for row in results["rows"]}
    assert set(labels) == {"onnxruntime fp32, cpu", "torch fp32, cpu"}
    assert results["reference"] == labels["torch fp32, cpu"]


def test_every_thread_count_has_a_row_and_data_may_be_left_out(artifacts: dict[str, Path]) -> None:
    measured = benchmark(BenchmarkConfig(models=(artifacts["onnx-fp32"],), threads=(2, 1), quick=True))
    assert [row.threads for row in measured.rows] == [2, 1]
    assert measured.data is None and measured.reference is None and measured.artifacts[0].accuracy is None
    named = dataclasses.replace(measured, machine=dataclasses.replace(measured.machine, name="My Board 5"))
    date = measured.created_utc[:10]
    assert default_out(named) == Path(f"results/my-board-5_onnx_t1-t2_{date}_quick.json")
    assert default_out(dataclasses.replace(named, quick=False)).name == f"my-board-5_onnx_t1-t2_{date}.json"


def test_percentiles_come_from_the_samples_in_the_file(results: dict[str, Any]) -> None:
    for row in results["rows"]:
        for kind in KINDS:
            timing = row[kind]
            samples = np.array(timing["samples_us"])
            assert timing["runs"] == len(samples) >= QUICK.min_runs
            expected = np.percentile(samples, (50, 90, 95)) / 1000
            np.testing.assert_allclose([timing["p50_ms"], timing["p90_ms"], timing["p95_ms"]], expected, atol=1e-3)
            assert timing["seconds"] == pytest.approx(samples.sum() / 1e6, abs=0.002)


def test_the_way_from_file_to_file_has_its_steps(results: dict[str, Any]) -> None:
    for row in results["rows"]:
        assert list(row["file_to_file"]) == ["read", "resize", "network", "enlarge", "write"]
        assert all(len(samples) == QUICK.min_runs and sum(samples) > 0 for samples in row["file_to_file"].values())


def test_accuracy_is_measured_once_per_artifact_and_named(results: dict[str, Any]) -> None:
    assert results["data"] == {"iou_name": "scenes", "split": "test", "count": 4, "total": 12}
    first, second = (artifact["accuracy"] for artifact in results["artifacts"])
    assert first["count"] == 4 and set(first["per_source"]) == {"scenes"}
    assert first["pooled"]["iou"] == pytest.approx(second["pooled"]["iou"], abs=1e-3)  # two formats of one network
    low, high = first["iou_interval"]
    assert low <= first["pooled"]["iou"] <= high


def test_an_artifact_that_hangs_ends(project_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.benchmark.accuracy.START_SECONDS", 0.05)
    folder = project_root / "models" / "unet_lite_s" / "onnx-fp32"
    with pytest.raises(InputError, match="got no accuracy of slow in 0 s"):
        dict(measure_accuracies({"slow": folder}, {"slow": "cpu"}, [], lambda _: None))


def test_facts_come_from_the_artifact(results: dict[str, Any], artifacts: dict[str, Path]) -> None:
    onnx = read_artifact(artifacts["onnx-fp32"])
    facts = next(artifact for artifact in results["artifacts"] if artifact["format"] == "onnx")
    assert facts["folder"] == "models/onnx-fp32"  # relative: no machine's paths in a file that is committed
    assert (facts["sha256"], facts["size_bytes"]) == (onnx.sha256, onnx.size_bytes)
    assert (facts["macs"], facts["parameters"]) == (onnx.spec.provenance["macs"], onnx.spec.provenance["parameters"])
    assert facts["memory"]["peak_bytes"] > facts["memory"]["baseline_bytes"] > 10 * 2**20


def test_peak_memory_is_not_that_of_the_process_that_asks(artifacts: dict[str, Path]) -> None:
    """ru_maxrss is handed down to new processes on Linux, so it would show these 600 MB."""
    ballast = np.ones(600_000_000, np.uint8)
    memory = measure_apart(artifacts["ncnn-fp16"], threads=1, device="cpu")
    assert memory.method == "ru_maxrss" or memory.baseline_bytes < memory.peak_bytes < ballast.nbytes
    photo = str(Path(__file__).parents[3] / "docs" / "photos" / "boat_sunset.jpg")
    reduced, exact = (measure_apart(artifacts["ncnn-fp16"], 1, "cpu", "--photo", photo, *more) for more in ((), ("--exact",)))
    assert memory.method == "ru_maxrss" or memory.baseline_bytes < reduced.peak_bytes < exact.peak_bytes


def test_all_get_the_same_turns(artifacts: dict[str, Path]) -> None:
    rule = Rule(turns=3, min_runs=7, min_seconds=0.03)
    runners = [Runner(name, read_artifact(artifacts[name]), threads=1, device="cpu") for name in ("onnx-fp32", "ncnn-fp16")]
    lines: list[str] = []
    load = take_turns(runners, rule, lines.append)
    assert len(lines) == 3
    for runner in runners:
        for kind in KINDS:
            assert len(runner.samples_ns[kind]) >= rule.min_runs
            assert sum(runner.samples_ns[kind]) >= rule.min_seconds * 1e9
        assert runner.golden.ok
    assert load.other_cores_busy is None or load.other_cores_busy >= 0.0


@pytest.mark.parametrize("step_ns", [-1000, 0])
def test_a_clock_that_does_not_go_on_ends_it(step_ns: int, project_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a suspend, or with a false clock."""
    folder = project_root / "models" / "unet_lite_s" / "ncnn-fp16"
    runner = Runner("it", read_artifact(folder), threads=1, device="cpu")
    ticks = itertools.count(10**9, step_ns)
    monkeypatch.setattr("edge_runtime.benchmark.latency.time.perf_counter_ns", lambda: next(ticks))
    monkeypatch.setattr("edge_runtime.benchmark.latency.MOST_SLICE_RUNS", 3)
    with pytest.raises(InputError, match="artifact it, timing infer: .*expected a clock that goes on"):
        runner.time_slice("infer", Rule(turns=1, min_runs=1, min_seconds=1.0))


def test_the_full_rule_is_a_hundred_runs_and_ten_seconds() -> None:
    assert FULL.turns * FULL.slice_runs >= 100 and FULL.turns * FULL.slice_seconds >= 10.0
    assert QUICK.turns * QUICK.slice_runs >= 20


def test_samples_are_kept_to_the_microsecond() -> None:
    timing = summarize([1_000_400, 2_000_600, 3_000_000], cpu_seconds=0.003)
    assert timing.samples_us == (1000, 2001, 3000)
    assert (timing.p50_ms, timing.p90_ms, timing.p95_ms) == (2.001, 2.8002, 2.9001)
    assert timing.cores_used == 0.5


def test_a_busy_machine_is_warned_of(artifacts: dict[str, Path]) -> None:
    runner = Runner("the-key", read_artifact(artifacts["onnx-fp32"]), threads=1, device="cpu")
    for kind in KINDS:
        runner.time_slice(kind, Rule(turns=1, min_runs=3, min_seconds=0.0))
    timing = runner.row(None).infer
    row = dataclasses.replace(
        runner.row(None),
        infer=dataclasses.replace(timing, cores_used=1.0),
        end_to_end=dataclasses.replace(timing, cores_used=1.0),
    )
    quiet = Load((0.0, 0.0, 0.0), (1.0, 0.5, 0.1), 0.01)
    assert find_warnings([runner], [row], quiet, cores=2) == ()
    starved = dataclasses.replace(row, infer=dataclasses.replace(timing, cores_used=0.4), threads=4)
    text = " ".join(find_warnings([runner], [starved], Load((3.0, 1.0, 1.0), None, 1.5), cores=2))
    for part in ("1.50 of 2 cores busy", "1 of 1 rows", "4 threads ran on 2 cores"):
        assert part in text


def test_machine_facts() -> None:
    machine = describe_machine()
    assert machine.cpu and machine.cores >= 1 and machine.tools["python"] and machine.gpu is None
    if Path("/proc/stat").is_file():
        assert (busy_seconds() or 0.0) > 0.0


@pytest.mark.parametrize(
    ("architecture", "flags", "name"),
    [
        ("x86_64", "sse4_2 avx avx2 fma avx512f avx512_vnni amx_int8", "AVX-512 VNNI with AMX"),
        ("x86_64", "sse4_2 avx avx2 fma avx_vnni avx512f avx512_vnni", "AVX-512 VNNI"),
        ("x86_64", "sse4_2 avx avx2 fma", "AVX2"),
        ("x86_64", "", "x86_64"),
        ("aarch64", "asimd asimdhp asimddp", "NEON with dot product"),
        ("aarch64", "", "NEON"),
        ("armv7l", "neon", "NEON"),
        ("riscv64", "", "riscv64"),
    ],
)
def test_instruction_sets_have_names(architecture: str, flags: str, name: str) -> None:
    assert name_instruction_set(architecture, flags.split()) == name


@pytest.mark.parametrize("out", ["file/r.json", "folder", "x" * 300, "/proc/r.json", "/dev/null/r.json", "new/" + "y" * 300])
def test_an_impossible_place_is_refused_before_measuring(out: str, artifacts: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="--out"):
        benchmark(BenchmarkConfig((artifacts["onnx-fp32"],), quick=True, out=tmp_path / out))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("name", ["r.json", "r.json.part"])
def test_a_file_that_is_there_is_kept(name: str, artifacts: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    done = run("--models", artifacts["onnx-fp32"], "--quick", "--out", "r.json", cwd=tmp_path)
    assert done.returncode == 2 and f"{name}, which exists already, expected a new place; choose another --out" in done.stderr
    assert "memory" not in done.stderr and (tmp_path / name).read_text() == "mine"
    done = run("--models", artifacts["onnx-fp32"], "--quick", "--out", "r.json", "--overwrite", cwd=tmp_path)
    assert done.returncode == 0 and read_results(tmp_path / "r.json").rows and not (tmp_path / "r.json.part").exists()


def test_a_broken_artifact_stops_it_before_anything_is_measured(artifacts: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(artifacts["onnx-fp32"], tmp_path / "good")
    bad = shutil.copytree(artifacts["ncnn-fp16"], tmp_path / "bad")
    model = read_artifact(bad).file("bin")
    model.write_bytes(model.read_bytes()[:-100])
    done = run("--models", "good", "bad", "--quick", "--out", "r.json", cwd=tmp_path)
    assert done.returncode == 2 and "bad" in done.stderr and "latency" not in done.stderr
    assert not (tmp_path / "r.json").exists()


def test_a_model_that_its_interpreter_refuses_is_named(artifacts: dict[str, Path], tmp_path: Path) -> None:
    """The SHA-256 is right, so only running it can tell."""
    bad = shutil.copytree(artifacts["onnx-fp32"], tmp_path / "nonsense")
    artifact = read_artifact(bad)
    artifact.file("model").write_bytes(b"not a network")
    spec = json.loads((bad / "model.json").read_text())
    spec["files"]["model"] |= {"sha256": hashlib.sha256(b"not a network").hexdigest(), "bytes": 13}
    (bad / "model.json").write_text(json.dumps(spec))
    done = run("--models", "nonsense", "--quick", cwd=tmp_path)
    assert done.returncode == 2
    assert "nonsense does not run" in done.stderr and "nonsense/model.onnx" in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"models": (Path("nothing"),)}, "without an artifact"),
        ({"models": (Path("one"), Path("."))}, "twice"),
        ({"threads": (0,)}, "--threads"),
        ({"threads": (1, 1)}, "each count once"),
        ({"eval_count": 0}, "--eval-count"),
        ({"data": Path("nowhere")}, "nowhere"),
        ({"out": Path("one")}, "expected a file"),
        ({"file_to_file": Path("nothing.jpg")}, "nothing.jpg, which does not exist"),
        ({"reference": "other"}, "expected one of unet_lite_s"),
    ],
)
def test_bad_flags_are_refused(
    flags: dict[str, Any], message: str, artifacts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(artifacts["onnx-fp32"], tmp_path / "one")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        benchmark(BenchmarkConfig(**{"models": (Path("one"),), "quick": True} | flags))


def test_the_schema_is_the_one_of_the_types() -> None:
    assert results_schema() == SCHEMA, "the types changed: run python tools/schemas.py"
