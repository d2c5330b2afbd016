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

from edge_runtime.benchmark.results import read_results
from edge_runtime.errors import InputError
from skyedge.report.advice import choose
from skyedge.report.build import ReportConfig, main, report
from skyedge.report.markdown import BEGIN, END, replace_section
from skyedge.report.plots import latency_svg, network_colors, pareto_svg, standalone
from skyedge.report.rows import Line, int8_sentences, make_lines, pareto_front, precision_effects, shortlist

pytestmark = pytest.mark.slow
Changed = Callable[[str, Callable[[dict[str, Any]], None]], Path]


def as_int8(results: dict[str, Any], factor: float) -> None:
    """Add an int8 twin of the tflite artifact, with latencies `factor` times as long."""
    twin = copy.deepcopy(next(artifact for artifact in results["artifacts"] if artifact["format"] == "tflite"))
    row = copy.deepcopy(next(row for row in results["rows"] if row["artifact"] == twin["key"]))
    twin |= {"key": "twin", "name": "twin", "precision": "int8", "size_bytes": twin["size_bytes"] // 4}
    row |= {"artifact": "twin", "label": row["label"].replace("fp32", "int8")}
    for kind in ("infer", "end_to_end"):
        row[kind] |= {name: row[kind][name] * factor for name in ("p50_ms", "p90_ms", "p95_ms")}
    results["artifacts"].append(twin)
    results["rows"].append(row)


def lines_of(path: Path) -> list[Line]:
    return make_lines({path.name: read_results(path)})


def vary(line: Line, **changes: Any) -> Line:
    """Return a line with other values, wherever in it they stand."""
    artifact, row, accuracy = line.artifact, line.row, line.artifact.accuracy
    assert accuracy is not None
    for name, value in changes.items():
        if name in ("key", "format", "precision", "size_bytes"):
            artifact = dataclasses.replace(artifact, **{name: value})
        elif name == "iou":
            accuracy = dataclasses.replace(accuracy, pooled=dataclasses.replace(accuracy.pooled, iou=value))
        elif name in ("infer", "end_to_end"):
            row = dataclasses.replace(row, **{name: dataclasses.replace(getattr(row, name), p50_ms=value)})
        elif name in ("label", "threads"):
            row = dataclasses.replace(row, **{name: value})
        else:
            line = dataclasses.replace(line, **{name: value})
    return dataclasses.replace(line, artifact=dataclasses.replace(artifact, accuracy=accuracy), row=row)


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
    by_format = {line.artifact.format: line for line in lines_of(measured)}
    torch, tflite = by_format["torch"], by_format["tflite"]
    assert torch.is_reference and torch.speed_up == 1.0 and not tflite.is_reference
    assert tflite.speed_up == pytest.approx(torch.infer_ms / tflite.infer_ms)


def test_plots_are_well_formed_with_tooltips(measured: Path) -> None:
    lines = lines_of(measured)
    colors = network_colors(lines)
    for svg in (
        pareto_svg(lines, pareto_front(lines), "scenes", "A & <B>", colors),
        latency_svg(lines, "A & <B>", colors),
    ):
        root = ElementTree.fromstring(standalone(svg))
        titles = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
        assert sum("torch fp32, cpu" in title for title in titles) == 1
        assert "currentColor" in svg and "#12345e" not in svg


def test_names_of_the_front_do_not_cover_each_other(measured: Path) -> None:
    """Read their places back from the SVG; 4.6 units a character are what the font takes at 8.5 points."""
    line = lines_of(measured)[0]
    lines = [
        vary(line, key=f"k{n}", network=f"network_{n}", end_to_end=10.0 * 1.1**n, iou=0.90 + 0.001 * n + 0.05 * (n > 4))
        for n in range(10)
    ]
    svg = pareto_svg(lines, pareto_front(lines), "scenes", "title", network_colors(lines))
    found = re.findall(r"translate\(([\d.]+) ([\d.]+)\)[^>]*>(network_\d tflite fp32)<", svg)
    if not found:
        found = re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>(network_\d tflite fp32)<', svg)
    boxes = [(float(x), float(y) - 8.0, float(x) + 4.6 * len(text), float(y)) for x, y, text in found]
    assert 2 <= len(boxes) < 10 and "network_9" in found[0][2] and min(box[0] for box in boxes) > 0
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        for a0, b0, a1, b1 in boxes[:index]:
            assert x1 <= a0 or a1 <= x0 or y1 <= b0 or b1 <= y0


def test_pareto_front(measured: Path) -> None:
    line = lines_of(measured)[0]
    points = {"fast": (5.0, 0.80), "slow": (9.0, 0.90), "beaten": (7.0, 0.79), "equal": (9.0, 0.85), "best": (20.0, 0.95)}
    lines = [vary(line, key=key, end_to_end=latency, iou=iou) for key, (latency, iou) in points.items()]
    lines.append(vary(line, key="unknown", end_to_end=1.0, iou=None))
    assert [line.key for line in pareto_front(lines)] == ["fast", "slow", "best"]


@pytest.mark.parametrize(
    ("factor", "verdict", "words"),
    [
        (1.5, "slower", "(1.50 times as long)"),
        (0.5, "faster", "int8 is faster than fp32 in 1 of 1 pairs"),
        (1.01, "as fast", "int8 is faster than fp32 in 0 of 1 pairs"),
    ],
)
def test_int8_that_is_slower_is_said_plainly(factor: float, verdict: str, words: str, changed: Changed, tmp_path: Path) -> None:
    path = changed("with_int8.json", lambda results: as_int8(results, factor))
    effects = precision_effects(lines_of(path))
    assert [effect.verdict for effect in effects] == [verdict]
    sentences = int8_sentences(effects)
    assert any(words in sentence for sentence in sentences)
    assert any("slower than fp32 here" in sentence for sentence in sentences) == (verdict == "slower")
    report(ReportConfig((path,), out=tmp_path / "out"))
    for name in ("index.html", "table.md"):
        assert words in (tmp_path / "out" / name).read_text()
    cells = rf'<td>{factor:.2f}</td><td>0\.2[0-5]</td><td>\+0\.0000</td><td class="text">{verdict}</td>'  # time, size, IoU
    assert len(re.findall(cells, (tmp_path / "out" / "index.html").read_text())) == 1


def test_advice_follows_the_figures(measured: Path, tmp_path: Path) -> None:
    line = vary(lines_of(measured)[0], precision="fp32", format="onnx", label="onnxruntime fp32, cpu", infer=9.0)
    int8 = vary(line, precision="int8", label="onnxruntime int8, cpu")
    lines = [
        vary(line, key="good", end_to_end=10.0, iou=0.90, size_bytes=9),
        vary(line, key="as good", network="b", end_to_end=8.0, iou=0.8995, size_bytes=8),
        vary(line, key="small", network="c", format="ncnn", end_to_end=7.0, iou=0.885, size_bytes=2),
        vary(line, key="fast", network="d", end_to_end=5.0, iou=0.881, size_bytes=7),
        vary(line, key="too bad", network="e", end_to_end=1.0, iou=0.80, size_bytes=1),
        vary(line, key="more threads", network="f", end_to_end=1.0, iou=0.99, threads=line.threads + 1),
        vary(line, key="torch", network="g", format="torch", end_to_end=1.0, iou=0.99),
        vary(line, key="no iou", network="h", end_to_end=1.0, iou=None),
        # fast end to end, but slower than its own fp32
        vary(int8, key="slow int8", infer=10.0, end_to_end=1.0, iou=0.90, size_bytes=1),
    ]
    assert [choice.line.key for choice in choose(lines)] == ["as good", "fast", "small", "small"]
    assert [choice.line.key for choice in choose(lines[:2])] == ["as good", "as good", "as good"]  # nothing in ncnn
    assert choose(lines[-3:-1]) == []
    report(ReportConfig((measured,), out=tmp_path / "out"))
    for name in ("index.html", "table.md"):
        assert "Which one should I take" in (tmp_path / "out" / name).read_text()


def test_the_short_table_has_the_front_and_the_references(measured: Path, tmp_path: Path) -> None:
    torch = next(line for line in lines_of(measured) if line.artifact.format == "torch")
    tflite = next(line for line in lines_of(measured) if line.artifact.format == "tflite")
    front = [vary(tflite, key=f"f{n}", end_to_end=1.0 + n, iou=0.5 + 0.01 * n + 0.1 * (n > 4)) for n in range(12)]
    beaten = [vary(tflite, key=f"b{n}", end_to_end=50.0 + n, iou=0.1) for n in range(5)]
    chosen = shortlist([*front, *beaten, vary(torch, end_to_end=99.0, iou=0.2), vary(tflite, key="t", threads=9, iou=1.0)])
    keys = [line.key for line in chosen]
    assert len(keys) == 8 and keys[0] == "f0" and keys[-2:] == ["f11", torch.key] and "f5" in keys
    unknown = [vary(line, iou=None) for line in (*front, torch)]
    assert len(shortlist(unknown)) == 8 and len(shortlist(unknown[:3])) == 3


HOSTILE = "a|b `c` [/bold] [red] <script>x</script> *d*\n| e |\u2028<!-- benchmark:end -->\x1b[2J\u202e & $x$"


def test_hostile_names_stay_text(changed: Changed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def rename(results: dict[str, Any]) -> None:
        for artifact in results["artifacts"]:
            key = artifact["key"]
            artifact |= {"arch": artifact["arch"] + HOSTILE, "key": key + HOSTILE, "weights_license": HOSTILE}
            artifact["accuracy"]["per_source"] = {HOSTILE: artifact["accuracy"]["pooled"]}
            for row in results["rows"]:
                if row["artifact"] == key:
                    row |= {"artifact": artifact["key"], "label": row["label"] + HOSTILE, "runtime": HOSTILE}
        results["reference"] += HOSTILE
        results["warnings"] = [HOSTILE]
        results["data"]["iou_name"] = HOSTILE
        results["machine"] |= {"name": HOSTILE, "instruction_set": HOSTILE, "os": HOSTILE, "governor": HOSTILE}

    path = changed("hostile.json", rename)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    config = ReportConfig((path,), out=tmp_path / "out", readme=readme)
    report(config)
    main(config)
    printed = capsys.readouterr().out
    assert "[/bold] [red]" in printed and "\x1b" not in printed
    text = readme.read_text()
    assert text.count(END) == 1 and text.endswith(f"{END}\nafter\n")
    for name in ("README.md", "out/table.md", "out/index.html", "out/pareto.svg"):
        text = (tmp_path / name).read_text()
        assert not set(text) & set("\x1b\u2028\u202e") and "<script>x" not in text, name
    tables = [line for line in (tmp_path / "out" / "table.md").read_text().splitlines() if line.startswith("|")]
    cells = [len(re.sub(r"\\[\\|]", "", line).split("|")) for line in tables]
    assert len(set(cells[:4])) == 1 and len(set(cells[4:])) == 1  # no name parts a cell
    ElementTree.parse(tmp_path / "out" / "pareto.svg")


def test_networks_of_one_architecture_are_told_apart(changed: Changed, tmp_path: Path) -> None:
    def pruned(results: dict[str, Any]) -> None:
        as_int8(results, 1.0)
        results["artifacts"][-1]["parameters"] = 250_000
        results["artifacts"][-1]["weights_license"] = "CC BY 4.0, with its notice"

    names = {line.network for line in lines_of(changed("r.json", pruned))}
    assert "unet_lite_s 0.25 M (CC BY 4.0)" in names and len(names) == 2


def test_several_files_and_no_data(changed: Changed, measured: Path, tmp_path: Path) -> None:
    def without_data(results: dict[str, Any]) -> None:
        results["data"], results["quick"] = None, False
        results["machine"]["name"] = "other board"
        for artifact in results["artifacts"]:
            artifact["accuracy"] = None

    other = changed("other.json", without_data)
    both = report(ReportConfig((measured, other), out=tmp_path / "both"))
    assert "Board &lt;1&gt; &amp; $x$, other board" in both.page.read_text() and len(both.lines) == 4
    alone = report(ReportConfig((other,), out=tmp_path / "both"))
    assert not (tmp_path / "both" / "pareto.svg").exists()  # nothing to plot; the old one is not of this page
    assert "quick" not in alone.page.read_text().partition("<main>")[2].lower()


def test_readme_part_is_replaced(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold figures\n{END}\nafter\n")
    (tmp_path / "results").mkdir()
    shutil.copy(measured, tmp_path / "results" / "r.json")
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "all.md"
    shutil.copy(readme, page)
    config = ReportConfig((tmp_path / "results" / "r.json",), out=tmp_path / "out", readme=readme, table=page)
    report(config)
    once = readme.read_text()
    assert once.startswith(f"before\n{BEGIN}\n") and once.endswith(f"{END}\nafter\n") and "old figures" not in once
    assert (
        "`results/r.json`" in once
        and (tmp_path / "out" / "table.md").read_text().partition("\n<!-- made by")[0] in page.read_text()
    )
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


@pytest.mark.parametrize("name", ["index.html", "table.md", "pareto.svg"])
def test_only_files_of_a_report_are_replaced(name: str, measured: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    config = ReportConfig((measured,), out=tmp_path / "out")
    with pytest.raises(InputError, match=f"{name}, which exists already, and not as this command .*--overwrite"):
        report(config)
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["mine"]
    report(dataclasses.replace(config, overwrite=True))
    report(config)  # its own
    assert "mine" not in (tmp_path / "out" / name).read_text()


def test_the_command(measured: Path, tmp_path: Path) -> None:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "skyedge.report", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    done = run(measured, "--out", "page")
    assert done.returncode == 0, done.stderr
    assert "ai_edge_litert fp32, cpu" in done.stdout and "torch fp32, cpu" in done.stdout
    assert done.stdout.splitlines()[-1] == "page/index.html"
    missing = run("nothing.json", "--out", "page")
    assert missing.returncode == 2 and "nothing.json" in missing.stderr
    assert "--readme" in run("--help").stdout
