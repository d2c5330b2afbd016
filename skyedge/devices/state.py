"""Sensors of a device, read by its own shell: governor, clocks, temperatures, energy counters, battery.

The shell text uses `read`, `printf` and `test` only, so that dash, bash, busybox and Android's mksh run it and few processes
start. Units are those of the Linux kernel: kHz, thousandths of a degree, microjoules, microamperes, microvolts.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from edge_runtime.benchmark.device_record import Energy, State

COLDEST_C, HOTTEST_C = -40.0, 150.0  # unconnected sensors read values outside
DISCHARGING = "Discharging"

# `tell KEY NAME FILE` prints three words with tabs between them, or nothing if the file cannot be read.
_FUNCTIONS = r"""
tell() { value=; { read -r value < "$3"; } 2>/dev/null; [ -z "$value" ] || printf '%s\t%s\t%s\n' "$1" "$2" "$value"; }
state() {
  printf 'state\t%s\t-\n' "$1"
  tell uptime s /proc/uptime
  for cpu in "$sys"/devices/system/cpu/cpu[0-9]*; do
    tell governor "${cpu##*/}" "$cpu/cpufreq/scaling_governor"
    tell khz "${cpu##*/}" "$cpu/cpufreq/scaling_cur_freq"
  done
  for zone in "$sys"/class/thermal/thermal_zone*; do
    name=; { read -r name < "$zone/type"; } 2>/dev/null
    tell millidegrees "${name:-zone} ${zone##*zone}" "$zone/temp"
  done
  for sensor in "$sys"/class/hwmon/hwmon*/temp[0-9]*_input; do
    name=; { read -r name < "${sensor%/*}/name"; } 2>/dev/null
    number=${sensor##*/}
    tell millidegrees "${name:-hwmon} ${number%_input}" "$sensor"
  done
  for zone in "$sys"/class/powercap/*:[0-9] "$sys"/class/powercap/*:[0-9][0-9]; do
    name=; { read -r name < "$zone/name"; } 2>/dev/null
    case $name in package*)
      tell microjoules "${zone##*/}" "$zone/energy_uj"
      tell microjoules_most "${zone##*/}" "$zone/max_energy_range_uj" ;;
    esac
  done
}
battery() {
  for supply in "$sys"/class/power_supply/*; do
    [ -r "$supply/current_now" ] || continue
    tell status "${supply##*/}" "$supply/status"
    tell microamperes "${supply##*/}" "$supply/current_now"
    tell microvolts "${supply##*/}" "$supply/voltage_now"
  done
}
"""


def shell_functions(sys: str = "/sys") -> str:
    """Return shell text that defines `state NAME` and `battery`, whose output the functions below read.

    `sys` is the folder of the kernel's device tree.
    """
    return f"sys={shlex.quote(sys)}\n{_FUNCTIONS}"


Lines = Sequence[Sequence[str]]  # key, name, value


def parse_state(lines: Lines) -> State:
    """Return the state that the lines of one `state` tell, without impossible clocks and temperatures."""
    celsius = {name: value / 1000.0 for name, value in _numbers(lines, "millidegrees").items()}
    return State(
        governors=tuple(dict.fromkeys(value for key, _, value in lines if key == "governor")),
        clocks_mhz={name: value / 1000.0 for name, value in _numbers(lines, "khz").items() if value > 0.0},
        temperatures_c={name: value for name, value in celsius.items() if COLDEST_C < value < HOTTEST_C and value != 0.0},
    )


def elapsed_seconds(before: Lines, after: Lines) -> float | None:
    """Return the time between two states by the device's clock, or None if it does not tell."""
    start, end = _numbers(before, "uptime").get("s"), _numbers(after, "uptime").get("s")
    return None if start is None or end is None else round(end - start, 2)


def measure_energy(before: Lines, after: Lines, samples: Lines) -> Energy | None:
    """Return the energy between two states: from counters of the CPU packages, else from battery samples, else None.

    `samples` are lines of `battery`. They count only if the device ran on the battery: on a charger, which a USB cable is too,
    the battery's current is not what the device uses.
    """
    seconds = elapsed_seconds(before, after)
    if not seconds or seconds <= 0.0:
        return None
    joules = _counted_joules(before, after)
    if joules is not None:
        return Energy("rapl", round(joules, 3), seconds, round(joules / seconds, 3))
    watts = _battery_watts(samples)
    return None if watts is None else Energy("battery", round(watts * seconds, 3), seconds, round(watts, 3))


def on_charger(samples: Lines) -> bool:
    """Tell whether a battery was not discharging at some time."""
    return any(key == "status" and value != DISCHARGING for key, _, value in samples)


def _counted_joules(before: Lines, after: Lines) -> float | None:
    """Return the rise of the package counters in joules; a counter restarts at 0 after its highest value."""
    start, end, most = _numbers(before, "microjoules"), _numbers(after, "microjoules"), _numbers(after, "microjoules_most")
    if not start or set(start) != set(end):
        return None
    rises = {name: end[name] - start[name] for name in start}
    if any(rise < 0.0 and name not in most for name, rise in rises.items()):
        return None
    return sum(rise + most[name] if rise < 0.0 else rise for name, rise in rises.items()) / 1e6


def _battery_watts(samples: Lines) -> float | None:
    """Return the mean power of all batteries in watts. Makers differ in the sign of the current, so its size counts."""
    if on_charger(samples):
        return None
    watts: dict[str, list[float]] = {}
    amperes = 0.0
    for line in samples:  # of each battery its current, then its voltage
        for value in _numbers([line], "microamperes").values():
            amperes = abs(value) / 1e6
        for name, value in _numbers([line], "microvolts").items():
            watts.setdefault(name, []).append(amperes * value / 1e6)
    return sum(sum(each) / len(each) for each in watts.values()) or None


def _numbers(lines: Lines, wanted: str) -> dict[str, float]:
    """Return name -> value of the lines with this key, without words such as `<unsupported>`."""
    found = {}
    for key, name, value in lines:
        if key == wanted:
            try:
                found[name] = float(value.split()[0])
            except ValueError:
                continue
    return found
