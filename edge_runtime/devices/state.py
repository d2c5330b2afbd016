"""Sensors of a device, read by its own shell: governor, clocks, temperatures, energy counters, battery.

The shell text needs nothing but `read`, `printf` and `test`, so that dash, bash, busybox and Android's mksh run it and
reading 100 files starts no process. Units are those of the kernel's documentation: kHz, thousandths of a degree,
microjoules, microamperes, microvolts.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from edge_runtime.benchmark.device_record import Energy, State

COLDEST_C, HOTTEST_C = -40.0, 150.0  # sensors that are not connected tell numbers beyond
DISCHARGING = "Discharging"

# `tell KEY NAME FILE` prints a line of three words parted by tabs, or nothing where the file is missing or closed to us.
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
    """Return shell text that defines `state NAME` and `battery`, which print what `parse_*` read.

    Parameters
    ----------
    sys
        Where the kernel's device tree is mounted.
    """
    return f"sys={shlex.quote(sys)}\n{_FUNCTIONS}"


Lines = Sequence[Sequence[str]]  # key, name, value


def parse_state(lines: Lines) -> State:
    """Return what the lines of one `state` say; clocks and temperatures that no device can have are left out."""
    celsius = {name: value / 1000.0 for name, value in _numbers(lines, "millidegrees").items()}
    return State(
        governors=tuple(dict.fromkeys(value for key, _, value in lines if key == "governor")),
        clocks_mhz={name: value / 1000.0 for name, value in _numbers(lines, "khz").items() if value > 0.0},
        temperatures_c={name: value for name, value in celsius.items() if COLDEST_C < value < HOTTEST_C and value != 0.0},
    )


def elapsed_seconds(before: Lines, after: Lines) -> float | None:
    """Return the time between two states by the device's own clock, or None where it does not tell."""
    start, end = _numbers(before, "uptime").get("s"), _numbers(after, "uptime").get("s")
    return None if start is None or end is None else round(end - start, 2)


def measure_energy(before: Lines, after: Lines, samples: Lines) -> Energy | None:
    """Return the energy between two states: counters of the CPU packages, else battery samples, else None.

    Parameters
    ----------
    before, after
        Lines of the two states.
    samples
        Lines of `battery` in between. They count only where the battery alone fed the device: on a charger, and a USB
        cable is one, its current is not what the device uses.
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
    """Tell whether there is a battery that was not discharging at some time."""
    return any(key == "status" and value != DISCHARGING for key, _, value in samples)


def _counted_joules(before: Lines, after: Lines) -> float | None:
    """Return what the package counters rose by, joules; a counter starts again at 0 beyond its highest value."""
    start, end, most = _numbers(before, "microjoules"), _numbers(after, "microjoules"), _numbers(after, "microjoules_most")
    if not start or set(start) != set(end):
        return None
    rises = {name: end[name] - start[name] for name in start}
    if any(rise < 0.0 and name not in most for name, rise in rises.items()):
        return None
    return sum(rise + most[name] if rise < 0.0 else rise for name, rise in rises.items()) / 1e6


def _battery_watts(samples: Lines) -> float | None:
    """Return mean power, watts, of all batteries. Makers differ in the sign of the current: it is taken as drawn."""
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
    """Return name -> value of the lines with this key; drivers write words such as `<unsupported>` too."""
    found = {}
    for key, name, value in lines:
        if key == wanted:
            try:
                found[name] = float(value.split()[0])
            except ValueError:
                continue
    return found
