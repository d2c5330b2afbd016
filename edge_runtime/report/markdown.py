"""The benchmark table in Markdown, and the part of a README that holds it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_runtime.errors import InputError
from edge_runtime.report.advice import choose, not_measured
from edge_runtime.report.rows import Line, int8_sentences, precision_effects

BEGIN, END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"


def markdown(loaded: dict[str, dict[str, Any]], lines: Sequence[Line], shown: dict[str, str]) -> str:
    """Return for each result file a compact table, a row per artifact with latencies of all thread counts side by side, and
    which artifact to take; then how to measure machines that no file is of.

    Parameters
    ----------
    loaded
        File name -> content.
    lines
        Of all files.
    shown
        File name -> how to name the file in the text.
    """
    sections = [_section(results, [line for line in lines if line.file == name], shown[name]) for name, results in loaded.items()]
    return "\n".join([*sections, _elsewhere(loaded)])


def replace_section(readme: str, text: str, path: Path) -> str:
    """Return `readme` with `text` between the marks; raises `InputError` unless each stands there once, in order."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise InputError(
            f"got {path} without one {BEGIN} and after it one {END}, expected both; add them where the table should stand"
        )
    head, _, rest = readme.partition(BEGIN)
    tail = rest.partition(END)[2]
    return f"{head}{BEGIN}\n{text}{END}{tail}"


def _section(results: dict[str, Any], lines: Sequence[Line], file: str) -> str:
    threads = sorted({line.threads for line in lines})
    several = len(threads) > 1
    iou = f"IoU ({results['data']['iou_name']})" if results["data"] else "IoU"
    head = ["network", "format", "precision", "size MB"]
    for count in threads:
        suffix = f", {count} thread{'s' * (count > 1)}" if several else ""
        head += [f"infer p50{suffix}", f"end_to_end p50{suffix}"]
    head += ["speed-up", iou, "boundary IoU", "no-sky %", "peak RSS MiB"]
    in_order = sorted(lines, key=lambda line: (line.threads, line.infer_p50_ms))
    keys = dict.fromkeys(line.key for line in in_order)
    rows = [_row([line for line in lines if line.key == key], threads) for key in keys]
    out = [_about(results, lines, threads, file), ""]
    out += ["| " + " | ".join(head) + " |", "|" + "---|" * 3 + "---:|" * (len(head) - 3)]
    out += ["| " + " | ".join(row) + " |" for row in rows]
    notes = [*int8_sentences(precision_effects(lines)), *results["warnings"]]
    out += ["", *(f"- {_escape(note)}" for note in notes)]
    return "\n".join([*out, *_advice(results, lines)]).rstrip() + "\n"


def _advice(results: dict[str, Any], lines: Sequence[Line]) -> list[str]:
    choices = choose(lines)
    if not choices:
        return []
    threads = choices[0].line.threads
    title = f"**Which one should I take** on {_escape(results['machine']['name'])} ({threads} thread{'s' * (threads > 1)})?"
    table = [["you want", "take", "end_to_end ms", "size MB", "IoU"], ["---"] * 2 + ["---:"] * 3]
    for choice in choices:
        line = choice.line
        table.append(
            [choice.wish, f"`{line.key}`", f"{line.end_to_end_p50_ms:.2f}", f"{line.size_bytes / 1e6:.2f}", f"{line.iou:.3f}"]
        )
    return ["", title, "", *("| " + " | ".join(row) + " |" for row in table)]


def _elsewhere(loaded: dict[str, dict[str, Any]]) -> str:
    rows = [f"- {kind}: not measured here. Measure it: `{command}`" for kind, command in not_measured(loaded)]
    return "\n".join(["**On other machines:**", "", *rows]) + "\n"


def _row(lines: Sequence[Line], threads: Sequence[int]) -> list[str]:
    line = lines[0]
    by_threads = {each.threads: each for each in lines}
    where = " on CUDA" if "cuda" in line.label else ""
    cells = [_escape(line.network), f"{line.format}{where}", line.precision, f"{line.size_bytes / 1e6:.2f}"]
    for count in threads:
        each = by_threads.get(count)
        cells += [f"{each.infer_p50_ms:.2f}", f"{each.end_to_end_p50_ms:.2f}"] if each else ["-", "-"]
    first = by_threads.get(threads[0])
    cells.append("reference" if line.is_reference else f"{first.speed_up:.1f}" if first and first.speed_up else "-")
    cells += ["-" if value is None else f"{value:.3f}" for value in (line.iou, line.boundary_iou)]
    cells.append("-" if line.nosky_fpr is None else f"{100 * line.nosky_fpr:.2f}")
    return [*cells, f"{line.peak_bytes / 2**20:.0f}"]


def _about(results: dict[str, Any], lines: Sequence[Line], threads: Sequence[int], file: str) -> str:
    machine, data, rule = results["machine"], results["data"], results["rule"]
    governor = f", governor {machine['governor']}" if machine["governor"] else ""
    parts = [
        f"Measured on {machine['name']} ({machine['cores']} cores{governor}, {machine['os']}), "
        f"{results['created_utc'][:10]}, batch 1, milliseconds."
    ]
    if results["quick"]:
        parts.append(f"**Quick: at least {rule['min_runs']} runs each, less than the full rule.**")
    else:
        parts.append(f"At least {rule['min_runs']} runs and {rule['min_seconds']:g} s each; artifacts took turns.")
    if data:
        name = (
            "generated scenes"
            if data["iou_name"] == "scenes"
            else f"{data['iou_name']}{'/' * bool(data['split'])}{data['split']}"
        )
        parts.append(f"Pooled IoU on {data['count']} pictures of {name}; no-sky: pixels called sky where there is none.")
    reference = next((line for line in lines if line.is_reference), None)
    if reference:
        at = f", at {threads[0]} thread{'s' * (threads[0] > 1)}" if len(threads) > 1 else ""
        parts.append(f"Speed-up: `infer` against {reference.network}, {reference.label}{at}.")
    return _escape(" ".join(parts)) + f" All samples: `{file}`."


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
