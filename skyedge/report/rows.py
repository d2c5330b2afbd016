"""From results to what a report shows: lines of the table, the Pareto front, what lower precision does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_runtime.benchmark.results import ArtifactFacts, Results, Row

SAME_WITHIN = 0.03  # latencies that differ by less count as equal
FULL_PRECISION = "fp32"
MOST_ROWS = 8  # of the short table


@dataclass(frozen=True, eq=False)
class Line:
    """A row of the table: one artifact on one machine at one thread count.

    Attributes
    ----------
    file
        Name of the result file.
    network
        Architecture, with input size, parameters or terms where they tell networks of one report apart.
    speed_up
        Latency (`infer`, p50) of the reference at the same thread count, divided by the line's; None without a reference.
    """

    file: str
    results: Results
    artifact: ArtifactFacts
    row: Row
    network: str
    speed_up: float | None

    @property
    def key(self) -> str:
        """Key of the artifact, unique in its file."""
        return self.artifact.key

    @property
    def threads(self) -> int:
        """Threads of interpreter and OpenCV."""
        return self.row.threads

    @property
    def infer_ms(self) -> float:
        """Median latency of the network alone."""
        return self.row.infer.p50_ms

    @property
    def end_to_end_ms(self) -> float:
        """Median latency from a decoded frame to its mask."""
        return self.row.end_to_end.p50_ms

    @property
    def iou(self) -> float | None:
        """Pooled IoU, None where it was not measured or is undefined."""
        return self.artifact.accuracy.pooled.iou if self.artifact.accuracy else None

    @property
    def peak_mib(self) -> str:
        """Peak RSS in MiB for tables; `-` where a web page measured."""
        memory = self.artifact.memory
        return "-" if memory is None else f"{memory.peak_bytes / 2**20:.0f}"

    @property
    def is_reference(self) -> bool:
        """Whether speed-ups refer to this artifact."""
        return self.key == self.results.reference

    @property
    def where(self) -> str:
        """Runtime and device, such as `onnxruntime, cpu`: the label without the precision."""
        return self.row.label.replace(f" {self.artifact.precision}, ", ", ")

    @property
    def short(self) -> str:
        """Network, format and precision for labels in plots, with `cuda` where it ran there."""
        cuda = " cuda" if self.row.device.startswith("cuda") else ""
        return f"{self.network} {self.artifact.format} {self.artifact.precision}{cuda}"


def count_threads(count: int) -> str:
    """Return `1 thread`, `2 threads` and so on."""
    return f"{count} thread{'s' * (count > 1)}"


@dataclass(frozen=True)
class PrecisionEffect:
    """A lower precision (`line`) against fp32 (`full`) of the same network in the same runtime, at the same thread count."""

    line: Line
    full: Line

    @property
    def time_factor(self) -> float:
        """Latency (`infer`, p50) as a multiple of that of fp32: above 1 it is slower."""
        return self.line.infer_ms / self.full.infer_ms

    @property
    def verdict(self) -> str:
        """`slower`, `faster` or `as fast`."""
        if abs(self.time_factor - 1.0) <= SAME_WITHIN:
            return "as fast"
        return "slower" if self.time_factor > 1.0 else "faster"


def make_lines(loaded: Mapping[str, Results]) -> list[Line]:
    """Return the lines of all result files (name -> results), by machine, fastest first."""
    names = _network_names([artifact for results in loaded.values() for artifact in results.artifacts])
    lines = []
    for file, results in loaded.items():
        artifacts = {artifact.key: artifact for artifact in results.artifacts}
        reference_ms = {row.threads: row.infer.p50_ms for row in results.rows if row.artifact == results.reference}
        for row in results.rows:
            artifact = artifacts[row.artifact]
            speed_up = reference_ms[row.threads] / row.infer.p50_ms if row.threads in reference_ms else None
            lines.append(Line(file, results, artifact, row, names[_variant(artifact)], speed_up))
    return sorted(lines, key=lambda line: (line.results.machine.name, line.infer_ms))


Variant = tuple[str, int, int, int | None, str]


def _variant(artifact: ArtifactFacts) -> Variant:
    return artifact.arch, artifact.input_height, artifact.input_width, artifact.parameters, artifact.weights_license


def _network_names(artifacts: list[ArtifactFacts]) -> dict[Variant, str]:
    """Name every variant by its architecture, and by size, parameters and terms where an architecture comes in several."""
    variants = sorted({_variant(artifact) for artifact in artifacts}, key=str)
    names = {}
    for variant in variants:
        arch, height, width, parameters, terms = variant
        same = [other for other in variants if other[0] == arch]
        name = arch
        if len({other[1:3] for other in same}) > 1:
            name += f" {width}" if height == width else f" {width}x{height}"
        if len({other[3] for other in same}) > 1:
            name += " ? M" if parameters is None else f" {parameters / 1e6:.2f} M"
        if len({other[4] for other in same}) > 1:
            name += f" ({terms.partition(',')[0]})"
        names[variant] = name
    return names


def pareto_front(lines: Sequence[Line]) -> list[Line]:
    """Return those that no other line beats in both end_to_end latency and IoU, fastest first; all need an IoU."""
    front: list[Line] = []
    for line in sorted(lines, key=lambda line: (line.end_to_end_ms, -(line.iou or 0.0))):
        if line.iou is not None and (not front or line.iou > (front[-1].iou or 0.0)):
            front.append(line)
    return front


def shortlist(lines: Sequence[Line]) -> list[Line]:
    """Return at most `MOST_ROWS` lines of one file at its lowest thread count, fastest first.

    They are the Pareto front, the reference, and the fp32 torch network with the most MACs. Of a longer front, the lines that
    add the least IoU are left out; without any IoU, the fastest others stand for it.
    """
    fewest = min(line.threads for line in lines)
    group = sorted((line for line in lines if line.threads == fewest), key=lambda line: line.end_to_end_ms)
    full = [line for line in group if (line.artifact.format, line.artifact.precision) == ("torch", FULL_PRECISION)]
    kept = [line for line in group if line.is_reference] + sorted(full, key=lambda line: -(line.artifact.macs or 0))[:1]
    front = pareto_front(group)
    room = MOST_ROWS - len(set(kept) - set(front))
    while len(front) > room:
        steps = [(front[index].iou or 0.0) - (front[index - 1].iou or 0.0) for index in range(1, len(front) - 1)]
        del front[1 + steps.index(min(steps))]
    chosen = {*kept, *(front or [line for line in group if line not in kept][:room])}
    return [line for line in group if line in chosen]


def precision_effects(lines: Sequence[Line]) -> list[PrecisionEffect]:
    """Compare every lower precision with fp32 of the same network, runtime and thread count in the same file."""
    full = {_conditions(line): line for line in lines if line.artifact.precision == FULL_PRECISION}
    effects = [
        PrecisionEffect(line, full[_conditions(line)])
        for line in lines
        if line.artifact.precision != FULL_PRECISION and _conditions(line) in full
    ]
    return sorted(effects, key=lambda effect: (*_conditions(effect.line)[1:], effect.line.artifact.precision))


def _conditions(line: Line) -> tuple[str, str, str, str, int]:
    return line.file, line.network, line.artifact.format, line.where, line.threads


def int8_sentences(effects: Sequence[PrecisionEffect]) -> list[str]:
    """Return a sentence for each int8 line that is slower than fp32, and for each instruction set how many are faster."""
    int8 = [effect for effect in effects if effect.line.artifact.precision == "int8"]
    sentences = [
        f"int8 is slower than fp32 here: {effect.line.network} in {effect.line.row.runtime}, "
        f"{count_threads(effect.line.threads)}, takes {effect.line.infer_ms:.2f} ms instead of "
        f"{effect.full.infer_ms:.2f} ms ({effect.time_factor:.2f} times as long). "
        "Use fp32 there, unless the file's size decides."
        for effect in int8
        if effect.verdict == "slower"
    ]
    for name in dict.fromkeys(effect.line.results.machine.instruction_set for effect in int8):
        verdicts = [effect.verdict for effect in int8 if effect.line.results.machine.instruction_set == name]
        sentences.append(
            f"int8 is faster than fp32 in {verdicts.count('faster')} of {len(verdicts)} pairs of the same network, runtime and "
            f"threads, with {name}."
        )
    return sentences
