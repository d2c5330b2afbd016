"""The benchmark table in Markdown: whole, or short for a README, and the part of a page that holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_runtime.benchmark.results import Results
from edge_runtime.errors import InputError
from edge_runtime.escape import markdown, markdown_code, markdown_table
from skyedge.report.advice import ask_which, choose
from skyedge.report.rows import Line, count_threads, int8_sentences, precision_effects, shortlist

BEGIN, END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"


def full_tables(loaded: Mapping[str, Results], lines: Sequence[Line], shown: Mapping[str, str]) -> str:
    """Return a table of all artifacts for each result file, with advice.

    Parameters
    ----------
    loaded
        File name -> results.
    lines
        Of all files.
    shown
        File name -> how to name the file in the text.
    """
    sections = []
    for name, results in loaded.items():
        own = [line for line in lines if line.file == name]
        notes = [f"- {markdown(note)}" for note in (*int8_sentences(precision_effects(own)), *results.warnings)]
        sections.append([*_about(own, shown[name]), *_rows(own), "", *notes, *_advice(own)])
    return _join(sections)


def short_tables(lines: Sequence[Line], shown: Mapping[str, str]) -> str:
    """Return a table of at most 8 rows for each result file, the Pareto front and the references, with advice."""
    files = {file: [line for line in lines if line.file == file] for file in shown}
    return _join([[*_about(own, shown[file]), *_rows(shortlist(own)), *_advice(own)] for file, own in files.items()])


def replace_section(page: str, text: str, path: Path) -> str:
    """Return `page` with `text` between the marks; raises `InputError` unless each stands there once, in order."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise InputError(
            f"got {path} without one {BEGIN} and after it one {END}, expected both; add them where the table should stand"
        )
    return f"{page.partition(BEGIN)[0]}{BEGIN}\n{text}{page[page.index(END) :]}"


def _join(sections: Sequence[Sequence[str]]) -> str:
    return "\n".join("\n".join(section).rstrip() + "\n" for section in sections)


def _rows(lines: Sequence[Line]) -> list[str]:
    """Return the table: a row for each artifact, with the latencies of all thread counts side by side."""
    threads = sorted({line.threads for line in lines})
    data = lines[0].results.data
    head = ["network", "format", "precision", "size MB"]
    for count in threads:
        suffix = f", {count_threads(count)}" if len(threads) > 1 else ""
        head += [f"infer p50{suffix}", f"end_to_end p50{suffix}"]
    head += ["speed-up", f"IoU ({markdown(data.iou_name)})" if data else "IoU", "boundary IoU", "no-sky %", "peak RSS MiB"]
    in_order = sorted(lines, key=lambda line: (line.threads, line.infer_ms))
    keys = dict.fromkeys(line.key for line in in_order)
    rows = [_row({line.threads: line for line in lines if line.key == key}, threads) for key in keys]
    return markdown_table(head, "lll" + "r" * (len(head) - 3), rows)


def _row(by_threads: Mapping[int, Line], threads: Sequence[int]) -> list[str]:
    line = next(iter(by_threads.values()))
    artifact, speed_up = line.artifact, by_threads[threads[0]].speed_up if threads[0] in by_threads else None
    pooled = artifact.accuracy.pooled if artifact.accuracy else None
    where = " on CUDA" if line.row.device.startswith("cuda") else " in a browser" if line.row.device == "browser" else ""
    cells = [markdown(line.network), f"{artifact.format}{where}", artifact.precision, f"{artifact.size_bytes / 1e6:.2f}"]
    for count in threads:
        each = by_threads.get(count)
        cells += [_number(each.infer_ms, 2), _number(each.end_to_end_ms, 2)] if each else ["-", "-"]
    cells.append("reference" if line.is_reference else _number(speed_up, 1))
    cells += [_number(line.iou, 3), _number(pooled.boundary_iou if pooled else None, 3)]
    cells.append(_number(100 * pooled.nosky_fpr if pooled and pooled.nosky_fpr is not None else None, 2))
    return [*cells, line.peak_mib]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _advice(lines: Sequence[Line]) -> list[str]:
    choices = choose(lines)
    if not choices:
        return []
    rows = [
        [
            choice.wish,
            markdown_code(choice.line.key),
            _number(choice.line.end_to_end_ms, 2),
            f"{choice.line.artifact.size_bytes / 1e6:.2f}",
            _number(choice.line.iou, 3),
        ]
        for choice in choices
    ]
    table = markdown_table(["you want", "take", "end_to_end ms", "size MB", "IoU"], "llrrr", rows)
    return ["", f"**{markdown(ask_which(choices))}**", "", *table]


def _about(lines: Sequence[Line], file: str) -> list[str]:
    """Return what the table of one result file was measured on, and how."""
    results = lines[0].results
    machine, data, rule = results.machine, results.data, results.rule
    governor = f", governor {machine.governor}" if machine.governor else ""
    where = f"{machine.name} ({machine.instruction_set}, {machine.cores} cores{governor}, {machine.os})"
    parts = [f"Measured on {markdown(where)}, {results.created_utc[:10]}, batch 1, milliseconds."]
    if results.quick:
        parts.append(f"**Quick: at least {rule.min_runs} runs each, less than the full rule.**")
    else:
        parts.append(f"At least {rule.min_runs} runs and {rule.min_seconds:g} s each; artifacts took turns.")
    if data:
        name = "generated scenes" if data.iou_name == "scenes" else "/".join(filter(None, (data.iou_name, data.split)))
        parts.append(
            f"Pooled IoU on {data.count} images of {markdown(name)}; no-sky: pixels predicted as sky in images without sky."
        )
    reference = min((line for line in lines if line.is_reference), key=lambda line: line.threads, default=None)
    if reference:
        at = f", {count_threads(reference.threads)}" if len({line.threads for line in lines}) > 1 else ""
        parts.append(f"Speed-up: `infer` against {markdown(reference.network)}, {markdown(reference.row.label)}{at}.")
    return [" ".join([*parts, f"All samples: {markdown_code(file)}."]), ""]
