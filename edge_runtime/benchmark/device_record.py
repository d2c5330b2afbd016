"""The part of a result file about a device that was measured from another machine: its state and drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from edge_runtime.records import Amount, Positive, Sha256, Text, choice


@dataclass(frozen=True)
class State:
    """What the device's sensors read at one moment; empty without sensors.

    Attributes
    ----------
    governors
        Frequency governors of the cores, without repetition.
    clocks_mhz
        Core -> clock.
    temperatures_c
        Sensor -> degrees Celsius.
    """

    governors: tuple[Text, ...]
    clocks_mhz: dict[str, Amount]
    temperatures_c: dict[str, float]


@dataclass(frozen=True)
class Call:
    """One run of `skyedge bench`, and the device before and after it; None: unknown."""

    threads: Positive
    command: Text
    before: State
    after: State
    seconds: Amount | None


@dataclass(frozen=True)
class Window:
    """A short run for drift, `start_seconds` after the first run began; `p50_ms` is artifact -> `infer`."""

    start_seconds: Amount
    p50_ms: Annotated[dict[str, Amount], Meta(min_length=1)]
    call: Call


@dataclass(frozen=True)
class Drift:
    """Latency (`infer` p50) of one row over the windows; `change` is last / first - 1, so 0.1 is 10 % slower."""

    artifact: Text
    threads: Positive
    first_p50_ms: Amount
    last_p50_ms: Amount
    slowest_p50_ms: Amount
    change: float


@dataclass(frozen=True)
class DeviceRun:
    """How a device was measured from another machine.

    Attributes
    ----------
    link
        "host", "ssh" or "adb", without names or addresses, since result files are published.
    prefix
        Words before the program (`taskset f0`), or "".
    emulator
        The sign that an emulator ran the program, so that its latencies hold for no device; None without such a sign.
    binary_sha256
        Of `skyedge`.
    calls
        The runs that gave the rows of the file, one for each thread count.
    minutes, windows, drift
        Duration of the short runs after the calls, these runs, and the drift of each row.
    """

    link: Annotated[str, choice("host", "ssh", "adb")]
    prefix: str
    emulator: str | None
    binary_sha256: Sha256
    calls: Annotated[tuple[Call, ...], Meta(min_length=1)]
    minutes: Amount
    windows: tuple[Window, ...]
    drift: tuple[Drift, ...]


def find_drift(windows: tuple[Window, ...]) -> tuple[Drift, ...]:
    """Return the drift of each row over `windows`, in the order of the first window; empty with fewer than two windows."""
    series: dict[tuple[str, int], list[float]] = {}
    for window in windows:
        for artifact, p50_ms in window.p50_ms.items():
            series.setdefault((artifact, window.call.threads), []).append(p50_ms)
    return tuple(
        Drift(artifact, threads, p50s[0], p50s[-1], max(p50s), round(p50s[-1] / p50s[0] - 1.0, 4))
        for (artifact, threads), p50s in series.items()
        if len(p50s) > 1 and p50s[0] > 0.0
    )
