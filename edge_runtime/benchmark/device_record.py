"""What a result file says of a device that was measured from here: its state around each run, energy, and drift."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class State:
    """What the device's sensors said at one moment; empty where it exposes none.

    Attributes
    ----------
    governors
        Frequency governors of the cores, each named once.
    clocks_mhz
        Core -> its clock, MHz.
    temperatures_c
        Sensor -> degrees Celsius.
    """

    governors: tuple[str, ...]
    clocks_mhz: dict[str, float]
    temperatures_c: dict[str, float]


@dataclass(frozen=True)
class Energy:
    """Energy of one run as a whole: loading, warm-up and idle power of what is metered are in it.

    Attributes
    ----------
    method
        "rapl": counters of the CPU packages. "battery": current times voltage, sampled; the whole device.
    joules, seconds, watts
        Energy, the time that it was spent in, and their quotient.
    """

    method: str
    joules: float
    seconds: float
    watts: float


@dataclass(frozen=True)
class Call:
    """One run of `skyedge bench`: the device before and after it, how long it took, and its energy (None: unknown)."""

    threads: int
    command: str
    before: State
    after: State
    seconds: float | None
    energy: Energy | None


@dataclass(frozen=True)
class Window:
    """A short run for drift. `start_seconds` counts from the start of the first run; `p50_ms`: artifact -> `infer`."""

    start_seconds: float
    p50_ms: dict[str, float]
    call: Call


@dataclass(frozen=True)
class Drift:
    """Latency (`infer` p50) over the windows of one row; `change` is last / first - 1, so 0.1 is 10 % slower."""

    artifact: str
    threads: int
    first_p50_ms: float
    last_p50_ms: float
    slowest_p50_ms: float
    change: float


@dataclass(frozen=True)
class DeviceRun:
    """How a device was measured from here.

    Attributes
    ----------
    link
        "host", "ssh" or "adb". Names and addresses are left out: result files are published.
    prefix
        What the program ran through (`taskset f0`), or "".
    emulator
        What shows that this is an emulator, whose latencies are those of no device; None where nothing does.
    binary_sha256
        Of the `skyedge` that ran.
    calls
        Those that gave the rows of the file, one for each thread count.
    minutes, windows, drift
        How long short runs went on after them, those runs, and what became of each row's latency.
    """

    link: str
    prefix: str
    emulator: str | None
    binary_sha256: str
    calls: tuple[Call, ...]
    minutes: float
    windows: tuple[Window, ...]
    drift: tuple[Drift, ...]


def find_drift(windows: tuple[Window, ...]) -> tuple[Drift, ...]:
    """Return how each row's latency moved over `windows`, in the order of the first; none with fewer than two."""
    series: dict[tuple[str, int], list[float]] = {}
    for window in windows:
        for artifact, p50_ms in window.p50_ms.items():
            series.setdefault((artifact, window.call.threads), []).append(p50_ms)
    return tuple(
        Drift(artifact, threads, p50s[0], p50s[-1], max(p50s), round(p50s[-1] / p50s[0] - 1.0, 4))
        for (artifact, threads), p50s in series.items()
        if len(p50s) > 1 and p50s[0] > 0.0
    )
