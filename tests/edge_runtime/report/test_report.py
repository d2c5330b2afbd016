"""The report: a page that stands alone, figures that come from the result file, and words that say what they show."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.benchmark.results import write_results
from edge_runtime.benchmark.run import BenchmarkConfig, benchmark
from edge_runtime.errors import InputError
from edge_runtime.report.advice import choose, not_measured
from edge_runtime.report.build import ReportConfig, report
from edge_runtime.report.markdown import BEGIN, END, replace_section
from edge_runtime.report.plots import latency_svg, network_colors, pareto_svg, standalone
from edge_runtime.report.rows import Line, int8_sentences, make_lines, pareto_front, precision_effects

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def measured(artifacts: dict[str, Path], scene_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a result file of a quick run over two artifacts, one of them in torch."""
    folder = tmp_path_factory.mktemp("report")
    models = (artifacts["ncnn-fp32"], artifacts["torch-fp32"])
    config = BenchmarkConfig(models, data=scene_dir, eval_count=3, quick=True, torch_device="cpu", device_name="Board <1> & $x$")
    write_results(benchmark(config), folder / "r.json")
    return folder / "r.json"


def changed(measured: Path, path: Path, change: Change) -> Path:
    """Write the result file to `path` with a change."""
    results = json.loads(measured.read_text())
    change(results)
    path.write_text(json.dumps(results))
    return path


def as_int8(results: dict[str, Any], factor: float) -> None:
    """Add an int8 twin of the ncnn artifact, with latencies `factor` times as long."""
    twin = copy.deepcopy(next(artifact for artifact in results["artifacts"] if artifact["format"] == "ncnn"))
    row = copy.deepcopy(next(row for row in results["rows"] if row["artifact"] == twin["key"]))
    twin |= {"key": "twin", "name": "twin", "precision": "int8", "size_bytes": twin["size_bytes"] // 4}
    row |= {"artifact": "twin", "label": row["label"].replace("fp32", "int8")}
    for kind in ("infer", "end_to_end"):
        row[kind] |= {name: row[kind][name] * factor for name in ("p50_ms", "p90_ms", "p95_ms")}
    results["artifacts"].append(twin)
    results["rows"].append(row)


def lines_of(path: Path) -> list[Line]:
    return make_lines({path.name: json.loads(path.read_text())})


def test_page_stands_alone_and_says_quick(measured: Path, tmp_path: Path) -> None:
    written = report(ReportConfig((measured,), out=tmp_path / "out"))
    page = written.page.read_text()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["index.html", "pareto.svg", "table.md"]
    # The only addresses are the names of XML namespaces and of matplotlib's document type, which nobody fetches.
    assert not re.search(r"<link|<script[^>]*src|<img(?![^>]*src=\"data:)|@import|url\((?!#)", page)
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "prefers-color-scheme: dark" in page and page.count("<svg") == 2
    assert "Board &lt;1&gt; &amp; $x$" in page and "Board <1>" not in page
    assert "Quick measurement:" in page and "**Quick: at least 20 runs" in (tmp_path / "out" / "table.md").read_text()
    assert "Example masks" not in page
    ids = re.findall(r'<g id="', page)
    assert not ids  # several plots in one page must not share ids


def test_figures_are_those_of_the_file(measured: Path, tmp_path: Path) -> None:
    results = json.loads(measured.read_text())
    report(ReportConfig((measured,), out=tmp_path))
    page, table = (tmp_path / "index.html").read_text(), (tmp_path / "table.md").read_text()
    for row in results["rows"]:
        assert f"<td>{row['infer']['p90_ms']:.2f}</td>" in page
        assert f"| {row['infer']['p50_ms']:.2f} | {row['end_to_end']['p50_ms']:.2f} |" in table
    for artifact in results["artifacts"]:
        assert f"{artifact['accuracy']['pooled']['iou']:.4f}</td>" in page and artifact["sha256"][:16] in page
    assert "generated scenes" in table and "IoU (scenes)" in table and "reference" in table


def test_speed_up_is_against_the_reference_at_the_same_threads(measured: Path) -> None:
    by_format = {line.format: line for line in lines_of(measured)}
    torch, ncnn = by_format["torch"], by_format["ncnn"]
    assert torch.is_reference and torch.speed_up == 1.0 and not ncnn.is_reference
    assert ncnn.speed_up == pytest.approx(torch.infer_p50_ms / ncnn.infer_p50_ms)


def test_plots_are_well_formed_with_tooltips(measured: Path) -> None:
    lines = lines_of(measured)
    colors = network_colors(lines)
    for svg in (
        pareto_svg(lines, pareto_front(lines), lines, "scenes", "A & <B>", colors),
        latency_svg(lines, "A & <B>", colors),
    ):
        root = ElementTree.fromstring(standalone(svg))
        titles = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
        assert sum("torch fp32, cpu" in title for title in titles) == 1
        assert "currentColor" in svg and "#12345e" not in svg


def spread(measured: Path, count: int) -> list[Line]:
    """Return `count` lines at close latencies and accuracies."""
    line = lines_of(measured)[0]
    return [
        dataclasses.replace(
            line, key=f"k{n}", network=f"network_{n}", end_to_end_p50_ms=10.0 * 1.01**n, iou=0.90 + 0.001 * (n == 9)
        )
        for n in range(count)
    ]


def test_labels_do_not_cover_each_other(measured: Path) -> None:
    """Read the labels' places back from the SVG; 4.6 units a character are what the font takes at 8.5 points."""
    lines = spread(measured, 10)
    svg = pareto_svg(lines, pareto_front(lines), lines, "scenes", "title", network_colors(lines))
    found = re.findall(r"translate\(([\d.]+) ([\d.]+)\)[^>]*>(network_\d ncnn fp32)<", svg)
    if not found:
        found = re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>(network_\d ncnn fp32)<', svg)
    boxes = [(float(x), float(y) - 8.0, float(x) + 4.6 * len(text), float(y)) for x, y, text in found]
    assert len(boxes) == 10
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        for a0, b0, a1, b1 in boxes[:index]:
            assert x1 <= a0 or a1 <= x0 or y1 <= b0 or b1 <= y0


def test_pareto_front(measured: Path) -> None:
    line = lines_of(measured)[0]
    points = {
        "fast": (5.0, 0.80),
        "slow": (9.0, 0.90),
        "beaten": (7.0, 0.79),
        "equal": (9.0, 0.85),
        "best": (20.0, 0.95),
    }
    lines = [dataclasses.replace(line, key=key, end_to_end_p50_ms=latency, iou=iou) for key, (latency, iou) in points.items()]
    lines.append(dataclasses.replace(line, key="unknown", end_to_end_p50_ms=1.0, iou=None))
    assert [line.key for line in pareto_front(lines)] == ["fast", "slow", "best"]


@pytest.mark.parametrize(
    ("factor", "verdict", "words"),
    [
        (1.5, "slower", "(1.50 times as long)"),
        (0.5, "faster", "int8 is faster than fp32 in 1 of 1 pairs"),
        (1.01, "as fast", "int8 is faster than fp32 in 0 of 1 pairs"),
    ],
)
def test_int8_that_is_slower_is_said_plainly(factor: float, verdict: str, words: str, measured: Path, tmp_path: Path) -> None:
    path = changed(measured, tmp_path / "with_int8.json", lambda results: as_int8(results, factor))
    effects = precision_effects(lines_of(path))
    assert [(effect.verdict, effect.size_factor < 0.26, effect.iou_change) for effect in effects] == [(verdict, True, 0)]
    sentences = int8_sentences(effects)
    assert any(words in sentence for sentence in sentences)
    assert any("slower than fp32 here" in sentence for sentence in sentences) == (verdict == "slower")
    report(ReportConfig((path,), out=tmp_path / "out"))
    for name in ("index.html", "table.md"):
        assert words in (tmp_path / "out" / name).read_text()


def test_advice_follows_the_figures(measured: Path, tmp_path: Path) -> None:
    line = dataclasses.replace(
        lines_of(measured)[0], precision="fp32", format="onnx", label="onnxruntime fp32, cpu", infer_p50_ms=9.0
    )
    int8 = dataclasses.replace(line, precision="int8", label="onnxruntime int8, cpu")
    lines = [
        dataclasses.replace(line, key="good", end_to_end_p50_ms=10.0, iou=0.90, size_bytes=9),
        dataclasses.replace(line, key="as good", network="b", end_to_end_p50_ms=8.0, iou=0.8995, size_bytes=8),
        dataclasses.replace(line, key="small", network="c", format="ncnn", end_to_end_p50_ms=7.0, iou=0.885, size_bytes=2),
        dataclasses.replace(line, key="fast", network="d", end_to_end_p50_ms=5.0, iou=0.881, size_bytes=7),
        dataclasses.replace(line, key="too bad", network="e", end_to_end_p50_ms=1.0, iou=0.80, size_bytes=1),
        dataclasses.replace(line, key="more threads", network="f", end_to_end_p50_ms=1.0, iou=0.99, threads=line.threads + 1),
        dataclasses.replace(line, key="torch", network="g", format="torch", end_to_end_p50_ms=1.0, iou=0.99),
        dataclasses.replace(line, key="no iou", network="h", end_to_end_p50_ms=1.0, iou=None),
        # fast end to end, but slower than its own fp32
        dataclasses.replace(int8, key="slow int8", infer_p50_ms=10.0, end_to_end_p50_ms=1.0, iou=0.90, size_bytes=1),
    ]
    assert [choice.line.key for choice in choose(lines)] == ["as good", "fast", "small", "small"]
    assert [choice.line.key for choice in choose(lines[:2])] == ["as good", "as good", "as good"]  # nothing in ncnn
    assert choose(lines[-3:-1]) == []
    report(ReportConfig((measured,), out=tmp_path / "out"))
    for name in ("index.html", "table.md"):
        text = (tmp_path / "out" / name).read_text()
        assert "Which one should I take" in text and "Android phone: not measured here" in text


def test_machines_that_were_measured_need_no_command(measured: Path) -> None:
    here = json.loads(measured.read_text())
    board = here | {"machine": here["machine"] | {"architecture": "aarch64"}}
    emulated = board | {"device_run": {"link": "adb", "emulator": "qemu"}}
    kinds = [kind for kind, _ in not_measured({"r": here | {"machine": here["machine"] | {"architecture": "x86_64"}}})]
    assert len(kinds) == 4 and not_measured({"r": emulated}) == not_measured({})
    assert [kind for kind, _ in not_measured({"r": board})] == [kind for kind in kinds if "Arm" not in kind]
    phone = board | {"device_run": {"link": "adb", "emulator": None}}
    assert [kind for kind, _ in not_measured({"r": phone})] == kinds[2:]


def test_networks_of_one_architecture_are_told_apart(measured: Path, tmp_path: Path) -> None:
    def pruned(results: dict[str, Any]) -> None:
        as_int8(results, 1.0)
        results["artifacts"][-1]["parameters"] = 250_000

    names = {line.network for line in lines_of(changed(measured, tmp_path / "r.json", pruned))}
    assert "unet_lite_s 0.25 M" in names and len(names) == 2


def test_several_files_and_no_data(measured: Path, tmp_path: Path) -> None:
    def without_data(results: dict[str, Any]) -> None:
        results["data"], results["quick"] = None, False
        results["machine"]["name"] = "other board"
        for artifact in results["artifacts"]:
            artifact["accuracy"] = None

    other = changed(measured, tmp_path / "other.json", without_data)
    both = report(ReportConfig((measured, other), out=tmp_path / "both"))
    assert "Board &lt;1&gt; &amp; $x$, other board" in both.page.read_text() and len(both.lines) == 4
    alone = report(ReportConfig((other,), out=tmp_path / "both"))
    assert not (tmp_path / "both" / "pareto.svg").exists()  # nothing to plot; the old one is not of this page
    assert "quick" not in alone.page.read_text().partition("<main>")[2].lower()


def test_readme_part_is_replaced(measured: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold figures\n{END}\nafter\n")
    (tmp_path / "results").mkdir()
    shutil.copy(measured, tmp_path / "results" / "r.json")
    config = ReportConfig((tmp_path / "results" / "r.json",), out=tmp_path / "out", readme=readme)
    report(config)
    once = readme.read_text()
    assert once.startswith(f"before\n{BEGIN}\n") and once.endswith(f"{END}\nafter\n") and "old figures" not in once
    assert "`results/r.json`" in once and (tmp_path / "out" / "table.md").read_text() in once
    report(config)
    assert readme.read_text() == once


@pytest.mark.parametrize("text", ["no marks", f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}"])
def test_readme_without_marks_is_left_alone(text: str, measured: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(InputError, match="benchmark:begin"):
        report(ReportConfig((measured,), out=tmp_path / "out", readme=readme))
    assert readme.read_text() == text and not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="expected both"):
        replace_section(text, "table", readme)


def test_pictures_go_through_every_artifact(measured: Path, artifacts: dict[str, Path], scene_dir: Path, tmp_path: Path) -> None:
    pictures = sorted((scene_dir / "test" / "images").iterdir())[:2]
    models = (artifacts["ncnn-fp32"], artifacts["torch-fp32"])
    page = report(ReportConfig((measured,), tmp_path, pictures=tuple(pictures), models=models)).page.read_text()
    assert page.count("data:image/jpeg;base64,") == 2 * 3  # the picture and two masks
    assert pictures[0].stem in page and "ncnn fp32</figcaption>" in page
    with pytest.raises(InputError, match="--models"):
        report(ReportConfig((measured,), tmp_path, pictures=tuple(pictures), models=(artifacts["onnx-fp32"],)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda results: results.update(surprise=1), "surprise"),
        (lambda results: results.update(schema_version=2), "schema_version"),
        (lambda results: results["rows"][0].update(artifact="gone"), "gone"),
        (lambda results: results["rows"][0]["infer"].update(samples_us=[]), "samples_us"),
    ],
)
def test_a_file_that_breaks_the_schema_is_refused(change: Change, message: str, measured: Path, tmp_path: Path) -> None:
    path = changed(measured, tmp_path / "bad.json", change)
    with pytest.raises(InputError, match=message):
        report(ReportConfig((path,), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_command(measured: Path, tmp_path: Path) -> None:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edge_runtime.report", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    done = run(measured, "--out", "page")
    assert done.returncode == 0, done.stderr
    assert "ncnn fp32, cpu" in done.stdout and "torch fp32, cpu" in done.stdout
    assert done.stdout.splitlines()[-1] == "page/index.html"
    missing = run("nothing.json", "--out", "page")
    assert missing.returncode == 2 and "nothing.json" in missing.stderr
    assert "--readme" in run("--help").stdout
