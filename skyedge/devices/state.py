"""Sensors of a device, read by its own shell: governor, clocks, temperatures.

The shell text uses `read`, `printf` and `test` only, so that dash, bash, busybox and Android's mksh run it and few processes
start. Units are those of the Linux kernel: kHz and thousandths of a degree.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from edge_runtime.benchmark.device_record import State

COLDEST_C, HOTTEST_C = -40.0, 150.0  # unconnected sensors read values outside

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
}
"""


def shell_functions(sys: str = "/sys") -> str:
    """Return shell text that defines `state NAME`, whose output the functions below read.

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
