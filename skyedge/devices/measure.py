"""Measure ncnn artifacts on a device with the C++ program.

The program and the artifacts go to a folder on the device. `skyedge bench --json` runs there, and its JSON becomes a result
file of the usual format. The device needs nothing but a shell.
"""

from __future__ import annotations

import dataclasses
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.artifact.artifact import SPEC_FILE, Artifact
from edge_runtime.benchmark.artifacts import shown_path
from edge_runtime.benchmark.device_record import DeviceRun, Window, find_drift
from edge_runtime.benchmark.results import ArtifactFacts, Load, Results, Row, Rule
from edge_runtime.errors import InputError
from skyedge.devices.cache import Device, ask_device, choose_program, fill_cache, list_files
from skyedge.devices.call import Bench, Outcome
from skyedge.devices.errors import LostError
from skyedge.devices.link import Link, connect, disconnect, open_link

FORMAT = "ncnn"
WINDOW_SECONDS = 30.0  # of a short run for drift; less if `FEWEST_WINDOWS` of them would not fit into the minutes
FEWEST_WINDOWS = 6
MOST_MINUTES = 600
X86_FLAGS = {"sse4_2", "avx", "avx2", "fma", "f16c"}
DRIFT_WARNING = 0.05


@dataclass(frozen=True)
class Devices:
    """Measure the latency of ncnn artifacts on another device, which needs nothing but a shell."""

    models: tuple[Path, ...]
    """Artifact folders, or folders that hold some, of format ncnn."""
    device: str
    """host (this machine), ssh://user@host:port or adb://SERIAL."""
    threads: tuple[int, ...] = (1,)
    """Thread counts. Each gives a row for every artifact."""
    quick: bool = False
    """At least 20 runs instead of 100 runs and 10 s. The result is marked as quick."""
    minutes: float = 0.0
    """Repeat short runs for this long, to measure how latency drifts while the device warms up."""
    device_name: str = ""
    """Name of the device in the result, such as "Raspberry Pi 5". Default: its own name."""
    reference: str = ""
    """Name of the artifact that ratios refer to."""
    binary: Path | None = None
    """The program to run. Default: the one that `make cpp` or `make cpp-arm` built for the device's architecture."""
    cache: str = ""
    """Folder on the device. Default: ~/.cache/skyedge; with adb /data/local/tmp/skyedge."""
    keep_cache: bool = True
    """Leave the program and the artifacts on the device for the next run."""
    prefix: str = ""
    """Words before the program, such as "taskset f0"."""
    ssh_config: Path | None = None
    """Configuration for ssh instead of your own (host keys, keys, names)."""
    out: Path | None = None
    """Result file to write. Default: results/devices/DEVICE_RUNTIMES_THREADS_DATE.json, with _quick for a quick one."""
    overwrite: bool = False
    """Replace a file that is in the place of --out."""


def measure_device(job: Devices, artifacts: Mapping[str, Artifact], rule: Rule, log: Callable[[str], None]) -> Results:
    """Return the results of a device; `artifacts` are key -> artifact. `device_run` tells how it was measured.

    Raises `InputError` for an artifact of another format and for a device that cannot be used or is lost. Nothing keeps running
    there, and only the cache stays.
    """
    if not 0.0 <= job.minutes <= MOST_MINUTES:
        raise InputError(f"got --minutes {job.minutes:g}, expected 0 to {MOST_MINUTES}")
    for key, artifact in artifacts.items():
        if artifact.spec.format != FORMAT or not (artifact.folder / SPEC_FILE).is_file():
            raise InputError(
                f"got {key} of format {artifact.spec.format}, expected {FORMAT}, the format of the program there; "
                "export one with export/to_ncnn.py"
            )
    try:
        shlex.split(job.prefix)
    except ValueError as error:
        raise InputError(f"got --prefix {job.prefix!r}: {error}; expected words as in a shell") from error
    link = open_link(job.device, job.ssh_config)
    connected = connect(link)
    try:
        return _measure(job, artifacts, rule, link, log)
    finally:
        if connected:
            disconnect(link)


def _measure(job: Devices, artifacts: Mapping[str, Artifact], rule: Rule, link: Link, log: Callable[[str], None]) -> Results:
    device = ask_device(link)
    program = choose_program(device, job.binary, link.shown)
    files = [path for artifact in artifacts.values() for path in list_files(artifact).values()]
    cache, brought = fill_cache(link, job.cache, program, files)
    log(f"{link.shown}: {device.architecture}, {brought / 1e6:.2f} MB brought to {cache.folder}")
    try:
        bench = Bench(cache, cache.digests[program], tuple(artifacts.values()), job.prefix, job.device_name or device.name)
        started = time.monotonic()
        outcomes = [bench.call(threads, rule, log) for threads in job.threads]
        windows = _watch_drift(bench, list(artifacts), job, started, log)
    except LostError:
        raise  # the cache cannot be removed
    except BaseException:
        _forget(job, cache.forget)
        raise
    _forget(job, cache.forget)
    for outcome in outcomes:
        _check_sha(artifacts, outcome.results, link.shown)
    emulator = find_emulator(device, outcomes[0].results, job.prefix)
    run = DeviceRun(
        link=link.kind,
        prefix=job.prefix,
        emulator=emulator,
        binary_sha256=cache.digests[program],
        calls=tuple(outcome.call for outcome in outcomes),
        minutes=job.minutes,
        windows=windows,
        drift=find_drift(windows),
    )
    return _merge(job, artifacts, device, outcomes, run)


def _forget(job: Devices, forget: Callable[[], None]) -> None:
    if not job.keep_cache:
        forget()


def _watch_drift(bench: Bench, keys: list[str], job: Devices, started: float, log: Callable[[str], None]) -> tuple[Window, ...]:
    """Run in short windows for `job.minutes`, at least two, and return them."""
    seconds = min(WINDOW_SECONDS, job.minutes * 60.0 / FEWEST_WINDOWS)
    rule = Rule(turns=2, min_runs=2, min_seconds=round(seconds / (2 * len(keys) * len(job.threads)), 3))
    end = time.monotonic() + job.minutes * 60.0
    windows: list[Window] = []
    most = 1000 * len(job.threads)  # also where the clock goes back
    while job.minutes and (time.monotonic() < end or len(windows) < 2 * len(job.threads)) and len(windows) < most:
        left = max(0.0, end - time.monotonic())
        log(f"drift: window {len(windows) // len(job.threads) + 1}, {left / 60.0:.1f} minutes left")
        for threads in job.threads:
            start = time.monotonic() - started
            outcome = bench.call(threads, rule, lambda _: None)
            p50s = {key: row.infer.p50_ms for key, row in zip(keys, _rows_in_order(outcome.results), strict=True)}
            windows.append(Window(round(start, 1), p50s, outcome.call))
    return tuple(windows)


def _rows_in_order(results: Results) -> list[Row]:
    """Return the rows in the order of the artifacts on the command line."""
    rows = {row.artifact: row for row in results.rows}
    return [rows[fact.key] for fact in results.artifacts]


def find_emulator(device: Device, results: Results, prefix: str) -> str | None:
    """Return the sign that an emulator ran this, or None. A program for Arm that sees x86 flags runs in one."""
    if device.emulator:
        return f"{device.emulator} emulator"
    machine = results.machine
    if machine.architecture == "aarch64" and X86_FLAGS & set(machine.cpu_flags):
        return f"a program for aarch64 on {machine.cpu}"
    return f"run through {shlex.split(prefix)[0]}" if "qemu" in prefix else None


def _check_sha(artifacts: Mapping[str, Artifact], results: Results, shown: str) -> None:
    """Refuse results of other artifacts than those sent."""
    for artifact, fact in zip(artifacts.values(), results.artifacts, strict=True):
        if artifact.sha256 != fact.sha256:
            raise InputError(f"got a result of {fact.name} with SHA-256 {fact.sha256} from {shown}, expected {artifact.sha256}")


def _merge(job: Devices, artifacts: Mapping[str, Artifact], device: Device, outcomes: list[Outcome], run: DeviceRun) -> Results:
    """Merge the results of all thread counts into one, with the keys and folders of this machine."""
    first, last = outcomes[0].results, outcomes[-1].results
    keys = list(artifacts)
    rows = {threads: _rows_in_order(outcome.results) for threads, outcome in zip(job.threads, outcomes, strict=True)}
    facts: list[ArtifactFacts] = [
        dataclasses.replace(fact, key=key, folder=shown_path(artifacts[key].folder))
        for key, fact in zip(keys, first.artifacts, strict=True)
    ]
    busy = [outcome.results.load.other_cores_busy for outcome in outcomes]
    known = [value for value in busy if value is not None]
    name = f"emulated: {first.machine.name}" if run.emulator else first.machine.name
    return dataclasses.replace(
        first,
        machine=dataclasses.replace(first.machine, name=name, os=device.os or first.machine.os),
        load=Load(first.load.before, last.load.after, max(known) if known else None),
        warnings=_warnings(outcomes, run),
        reference=job.reference or None,
        artifacts=tuple(facts),
        rows=tuple(
            dataclasses.replace(rows[threads][index], artifact=key) for index, key in enumerate(keys) for threads in job.threads
        ),
        device_run=run,
    )


def _warnings(outcomes: list[Outcome], run: DeviceRun) -> tuple[str, ...]:
    """Return the reasons not to trust the figures: first those known here, then the program's."""
    found = []
    if run.emulator:
        found.append(
            f"This is an emulator ({run.emulator}): it shows that the program runs, but its latencies hold for no device."
        )
    for drift in run.drift:
        if abs(drift.change) > DRIFT_WARNING:
            found.append(
                f"{drift.artifact} with {drift.threads} threads went from {drift.first_p50_ms:.2f} to {drift.last_p50_ms:.2f} ms "
                f"({drift.change:+.0%}) within {run.minutes:g} minutes; the rows were measured before."
            )
    for outcome in outcomes:
        where = f"{outcome.call.threads} threads: " if len(outcomes) > 1 else ""
        found += [where + warning for warning in outcome.results.warnings]
    return tuple(found)


def format_run(run: DeviceRun) -> str:
    """Return the state of the device around the runs and the drift as plain text."""
    lines = []
    for call in run.calls:
        parts = [f"{call.threads} thread{'s' * (call.threads > 1)}"]
        parts.append(f"governor {', '.join(call.before.governors) or 'unknown'}")
        for name, before, after, unit in (
            ("clock", call.before.clocks_mhz, call.after.clocks_mhz, "MHz"),
            ("hottest", call.before.temperatures_c, call.after.temperatures_c, "°C"),
        ):
            known = before and after
            parts.append(f"{name} {max(before.values()):.0f} -> {max(after.values()):.0f} {unit}" if known else f"{name} unknown")
        lines.append("device: " + ", ".join(parts))
    for drift in run.drift:
        lines.append(
            f"drift: {drift.artifact}, {drift.threads} thread{'s' * (drift.threads > 1)}: {drift.first_p50_ms:.2f} -> "
            f"{drift.last_p50_ms:.2f} ms ({drift.change:+.1%}), slowest {drift.slowest_p50_ms:.2f} ms"
        )
    return "\n".join(lines)
