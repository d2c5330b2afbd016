"""Facts about the machine of a measurement. Read from the system, so that it runs on any board."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.cores import usable_cores
from edge_runtime.records import Amount, Count, Positive, Text

# The CPU flags that matter for fp16 and int8 networks, by their Linux names (x86, then Arm).
RELEVANT_FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_tile", "amx_int8", "amx_bf16", "neon", "asimd", "asimdhp", "fphp", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip
# Distribution names of the packages that take part in a measurement.
TOOLS = (
    "numpy", "opencv-python-headless", "opencv-python", "pillow", "onnxruntime", "onnxruntime-gpu", "ai-edge-litert",
    "tflite-runtime", "tensorflow", "ncnn", "coremltools", "torch",
)  # fmt: skip
# The first entry whose flags the CPU has all gives its name: interpreters choose their int8 and fp16 kernels by these flags.
INSTRUCTION_SETS = (
    ("AVX-512 VNNI with AMX", {"avx512_vnni", "amx_int8"}),
    ("AVX-512 VNNI", {"avx512_vnni"}),
    ("AVX-512", {"avx512f"}),
    ("AVX2 with VNNI", {"avx2", "avx_vnni"}),
    ("AVX2", {"avx2"}),
    ("AVX", {"avx"}),
    ("SSE4.2", {"sse4_2"}),
    ("NEON with i8mm", {"asimd", "i8mm"}),
    ("NEON with dot product", {"asimd", "asimddp"}),
    ("NEON", {"asimd"}),
    ("NEON", {"neon"}),
)
CPU_FOLDER = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Gpu:
    """A CUDA device as torch sees it."""

    name: Text
    memory_bytes: Count
    cuda: str


@dataclass(frozen=True)
class Machine:
    """The machine of a measurement; None where the system does not say.

    Attributes
    ----------
    name
        The user's name for it, else the board's name, else the CPU's.
    cpu, cpu_flags, cores, governor, max_mhz
        Model name; its flags among `RELEVANT_FLAGS`; logical cores that this process may use; frequency governor and highest
        frequency of core 0.
    instruction_set
        From `INSTRUCTION_SETS`. The advice which artifact to take holds for this instruction set.
    virtual
        Whether the CPU reports a hypervisor: the load of other guests is then invisible.
    tools
        Versions of Python and of the packages of `TOOLS` that are installed.
    """

    name: Text
    cpu: Text
    cpu_flags: tuple[Text, ...]
    instruction_set: Text
    architecture: Text
    cores: Positive
    governor: str | None
    max_mhz: Amount | None
    virtual: bool
    memory_bytes: Count | None
    os: Text
    kernel: Text
    gpu: Gpu | None
    tools: dict[str, str]


def describe_machine(name: str = "", gpu: Gpu | None = None) -> Machine:
    """Return the facts of this machine, under `name` if it is given."""
    flags = _cpu_flags()
    cpu = _cpu_model()
    return Machine(
        name=name or _first_line(Path("/proc/device-tree/model")) or cpu,
        cpu=cpu,
        cpu_flags=tuple(flag for flag in RELEVANT_FLAGS if flag in flags),
        instruction_set=name_instruction_set(platform.machine(), flags),
        architecture=platform.machine(),
        cores=usable_cores(),
        governor=_first_line(CPU_FOLDER / "cpu0/cpufreq/scaling_governor"),
        max_mhz=_max_mhz(),
        virtual="hypervisor" in flags,
        memory_bytes=_memory_bytes(),
        os=_os_name(),
        kernel=f"{platform.system()} {platform.release()}",
        gpu=gpu,
        tools=tool_versions(),
    )


def name_instruction_set(architecture: str, flags: Collection[str]) -> str:
    """Return the name of the instruction set that the flags of a CPU stand for; without any, NEON or plain x86-64."""
    found = next((name for name, wanted in INSTRUCTION_SETS if wanted <= set(flags)), None)
    return found or ("NEON" if architecture == "aarch64" else architecture)


def tool_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages among `TOOLS`, without importing them."""
    versions = {"python": platform.python_version()}
    for tool in TOOLS:
        try:
            versions[tool] = importlib.metadata.version(tool)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def load_average() -> tuple[float, float, float] | None:
    """Return the load averages of 1, 5 and 15 minutes, or None where the system has none."""
    try:
        return os.getloadavg()
    except (AttributeError, OSError):
        return None


def busy_seconds() -> float | None:
    """Return the CPU seconds that all processes of the machine have used since boot, or None without /proc/stat."""
    line = _first_line(Path("/proc/stat"))
    if line is None or not line.startswith("cpu "):
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(word) for word in line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _cpu_flags() -> frozenset[str]:
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    return frozenset(found.group(1).split()) if found else frozenset()


def _cpu_model() -> str:
    """Return the CPU's name. Arm kernels often give only part numbers, which identify the core too."""
    info = _text(Path("/proc/cpuinfo"))
    for key in ("model name", "Model", "Hardware"):
        found = re.search(rf"^{key}\s*:\s*(\S.*)$", info, re.MULTILINE)
        if found:
            return found.group(1).strip()
    parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\S+)", info, re.MULTILINE)))
    return f"{platform.machine()} part {', '.join(parts)}" if parts else platform.processor() or platform.machine()


def _max_mhz() -> float | None:
    khz = _first_line(CPU_FOLDER / "cpu0/cpufreq/cpuinfo_max_freq")
    return int(khz) / 1000.0 if khz else None


def _memory_bytes() -> int | None:
    found = re.search(r"^MemTotal:\s*(\d+) kB", _text(Path("/proc/meminfo")), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def _os_name() -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', _text(Path("/etc/os-release")), re.MULTILINE)
    return found.group(1) if found else platform.platform()


def _first_line(path: Path) -> str | None:
    line = _text(path).partition("\n")[0].strip("\0 \t")
    return line or None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""  # not Linux, or a container hides the file: the fact is unknown
