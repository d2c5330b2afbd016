"""Prove stabilization: `python studies/flicker.py --models ARTIFACT...`.

Moving scenes with exact masks (`scenes.moving`) are segmented frame by frame, with and without stabilization
(`edge_runtime.masks.stabilize`), and compared with the target. Two figures say how much a mask p with target g flickers. Both
are 100 times a root mean square over all pixels and pairs of frames of one shot:

- dtSSD (Erofeev et al. 2015): of e_t(x) - e_{t-1}(x), with the error e = p - g, at fixed pixels. When the camera moves, an
  error that is constant but moves with the image counts too, so no mask of the network's size reaches 0 (row `exact`: the
  target itself at this size).
- along: of e_t(x) - e_{t-1}(back_t(x)), along the scene's exact motion: the flicker that a viewer sees. After MESSDdt of the
  same authors, with the exact motion instead of optical flow.

Lag, where the target of a pixel changes and then stays for four frames: by how many frames the stabilized mask follows later
than the unstabilized one; and the delay of the target, in frames, that fits the mask best around its changes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from edge_runtime.images.resize import resize_probability
from edge_runtime.segmenter import Segmenter
from edge_runtime.video.format import VideoFormat
from edge_runtime.video.pipeline import FrameSegmenter
from edge_runtime.video.read import VideoSource
from edge_runtime.video.write import VideoSink
from scenes.moving import MOTIONS, Frame, moving_scene
from studies.harness import RESULTS, Figures, Study, StudyConfig, model_facts, require, table

COMPRESSED = "compressed"  # handheld, through an H.264 file
KINDS = (*MOTIONS, COMPRESSED)
METHODS = ("exact", "raw", "stabilized")
LATEST = 3  # frames after a change that count
HALF = 0.5
COLUMNS = ("iou", "dtssd", "dtssd_network", "along")


@dataclass(frozen=True, kw_only=True)
class FlickerConfig(StudyConfig):
    """Measure flicker, IoU and lag on moving scenes, with and without stabilization."""

    models: tuple[Path, ...] = (Path("models/unet_lite_s/onnx-int8"), Path("models/unet_lite/onnx-int8"))  # artifacts
    out: Path = RESULTS / "flicker"
    shots: int = 2  # of each kind
    frames: int = 24  # of each shot
    size: tuple[int, int] = (360, 640)  # height, width of a frame in pixels
    seed: int = 95_000  # of the first shot; the settings were chosen on shots from 1000, 3000 and 90000 on


@dataclass
class Sums:
    """Sums over frames, which `add` takes in the order of a shot."""

    inside: int = 0
    either: int = 0
    squares: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in COLUMNS[1:]})
    _error: np.ndarray | None = None
    _small_error: np.ndarray | None = None

    def add(self, small: np.ndarray, small_target: np.ndarray, large: np.ndarray, frame: Frame) -> None:
        """Count the map of a frame, at the network's size and at the frame's."""
        predicted, target = large >= HALF, frame.alpha >= HALF
        self.inside += int((predicted & target).sum())
        self.either += int((predicted | target).sum())
        error, small_error = large - frame.alpha, small - small_target
        seen = np.isfinite(frame.back[..., 0])
        if self._error is not None and self._small_error is not None and seen.any():  # none is in the first of a shot
            back = np.nan_to_num(frame.back)
            moved = cv2.remap(self._error, back[..., 0], back[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for name, change in zip(
                COLUMNS[1:], (error - self._error, small_error - self._small_error, (error - moved)[seen]), strict=True
            ):
                self.squares[name].append(float(np.square(change).mean()))
        self._error, self._small_error = error, small_error

    def figures(self) -> dict[str, float]:
        """Return IoU and the flicker figures of all that was added."""
        values = {name: round(100 * float(np.sqrt(np.mean(found))), 3) for name, found in self.squares.items()}
        return {"iou": round(self.inside / max(1, self.either), 5), **values}


@dataclass
class Lag:
    """How late masks follow the target."""

    raw: list[np.ndarray] = field(default_factory=list)
    steady: list[np.ndarray] = field(default_factory=list)
    misfit: np.ndarray = field(default_factory=lambda: np.zeros((2, LATEST + 1)))

    def add(self, target: np.ndarray, raw: np.ndarray, steady: np.ndarray) -> None:
        """Count a shot of masks (frames, H, W) bool."""
        frames = len(target)
        for t in range(1, frames - LATEST):
            changed = target[t] != target[t - 1]
            for after in range(1, LATEST + 1):
                changed &= target[t + after] == target[t]
            self.raw.append(_first_right(raw[t:], target[t], changed))
            self.steady.append(_first_right(steady[t:], target[t], changed))
        for t in range(LATEST, frames):
            moving = (target[t - LATEST : t] != target[t]).any(0)
            for row, mask in enumerate((raw, steady)):
                self.misfit[row] += [(mask[t] != target[t - late])[moving].sum() for late in range(LATEST + 1)]

    def figures(self) -> dict[str, Any]:
        """Return the lag in frames: mean delay of changes that both masks follow, share of late ones, best fit."""
        raw, steady = (np.concatenate(found) if found else np.zeros(0, int) for found in (self.raw, self.steady))
        both = (raw <= LATEST) & (steady <= LATEST)
        later = (steady - raw)[both]
        fit = [int(row.argmin()) if row.any() else None for row in self.misfit]
        return {
            "changes": int(both.sum()),
            "mean_delay": round(float(later.mean()), 3) if later.size else None,
            "share_later_than_1": round(float((later > 1).mean()), 4) if later.size else None,
            "followed_raw": round(float((raw <= LATEST).mean()), 4) if raw.size else None,
            "followed_stabilized": round(float((steady <= LATEST).mean()), 4) if steady.size else None,
            "best_fit_raw": fit[0],
            "best_fit_stabilized": fit[1],
        }


def _first_right(masks: np.ndarray, target: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return for each place the frames until the mask is right; more than LATEST if it does not become right."""
    right = np.stack([mask[where] == target[where] for mask in masks[: LATEST + 1]] + [np.ones(int(where.sum()), bool)])
    return right.argmax(0)


def shot(kind: str, seed: int, config: FlickerConfig) -> Iterator[Frame]:
    """Yield the frames of a shot of one of `KINDS`."""
    if kind != COMPRESSED:
        yield from moving_scene(seed, config.frames, config.size, next(name for name in MOTIONS if name == kind))
        return
    frames = list(moving_scene(seed, config.frames, config.size, "handheld"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shot.mp4"
        with VideoSink(path, VideoFormat()) as sink:
            for frame in frames:
                sink.write(frame.image)
        source = VideoSource(path)
        for frame in frames:
            decoded = source.read()
            if decoded is None:
                raise OSError(f"{path} lost frames on the way through the codec")
            yield Frame(decoded.image, frame.alpha, frame.back, frame.shot)
        source.close()


def measure_shots(kind: str, seeds: Sequence[int], segmenter: Segmenter, config: FlickerConfig) -> dict[str, Any]:
    """Return the figures of every method on the shots of one kind."""
    sums, lag, cuts = {name: Sums() for name in METHODS}, Lag(), 0
    height, width = segmenter.artifact.size
    for seed in seeds:
        steady = FrameSegmenter(segmenter, stabilize=True)
        assert steady.stabilizer is not None
        predicted: dict[str, list[np.ndarray]] = {"target": [], "raw": [], "stabilized": []}
        for frame in shot(kind, seed, config):
            exact = np.clip(cv2.resize(frame.alpha, (width, height), interpolation=cv2.INTER_AREA), 0, 1)
            raw = segmenter.low_res(frame.image).copy()
            maps = {"exact": exact, "raw": raw, "stabilized": steady.steady(frame.image, raw)}
            predicted["target"].append(frame.alpha >= HALF)
            for name, small in maps.items():
                large = resize_probability(small, *config.size)
                sums[name].add(small, exact, large, frame)
                if name in predicted:
                    predicted[name].append(large >= HALF)
        lag.add(*(np.stack(predicted[name]) for name in ("target", "raw", "stabilized")))
        cuts += steady.cuts
    return {**{name: sums[name].figures() for name in METHODS}, "lag": lag.figures(), "cuts_found": cuts}


def overall(kinds: dict[str, Any]) -> dict[str, Any]:
    """Return the mean IoU over the kinds, and the root mean square of each flicker figure."""
    found: dict[str, Any] = {}
    for method in METHODS:
        rows = [kind[method] for kind in kinds.values()]
        values = {name: round(float(np.sqrt(np.mean([row[name] ** 2 for row in rows]))), 3) for name in COLUMNS[1:]}
        found[method] = {"iou": round(float(np.mean([row["iou"] for row in rows])), 5), **values}
    return found


def measure(config: FlickerConfig) -> Iterator[tuple[str, Figures]]:
    """Yield the figures of every model, when all its kinds are done."""
    require(config, 1, "shots")
    require(config, LATEST + 2, "frames")
    for model in config.models:
        segmenter = Segmenter.load(model)
        kinds = {}
        for number, kind in enumerate(track(KINDS, segmenter.artifact.spec.name, console=Console(stderr=True))):
            seeds = range(config.seed + 100 * number, config.seed + 100 * number + config.shots)
            kinds[kind] = measure_shots(kind, seeds, segmenter, config)
        head = {"model": model_facts(segmenter.artifact), "shots": config.shots}
        head |= {"frames": config.frames, "size": list(config.size), "seed": config.seed}
        yield segmenter.artifact.spec.name, {**head, "kinds": kinds, "all": overall(kinds)}


def page(figures: Figures) -> list[str]:
    """Return the table: a row for each kind of motion."""
    height, width = figures["size"]
    head = [
        "motion", "IoU", "dtSSD", "dtSSD of the exact mask", "dtSSD at the network's size", "along the motion", "less, %",
        "along, exact mask", "delay, frames", "later than 1 frame", "best fit",
    ]  # fmt: skip
    rows = []
    for name, kind in (*figures["kinds"].items(), ("all", figures["all"])):
        raw, steady, exact, lag = kind["raw"], kind["stabilized"], kind["exact"], kind.get("lag") or {}

        def change(column: str, digits: int = 2, raw: Figures = raw, steady: Figures = steady) -> str:
            return f"{raw[column]:.{digits}f} -> {steady[column]:.{digits}f}"

        cells = [name, change("iou", 4), change("dtssd"), f"{exact['dtssd']:.2f}", change("dtssd_network"), change("along")]
        cells += [f"{100 * (1 - steady['along'] / raw['along']):.0f}", f"{exact['along']:.2f}"]
        if lag.get("changes"):
            cells += [f"{lag['mean_delay']:.2f}", f"{100 * lag['share_later_than_1']:.1f} %", lag["best_fit_stabilized"]]
        rows.append([*cells, *[None] * (len(head) - len(cells))])
    return [
        f"{figures['shots']} shots of {figures['frames']} frames of {width} x {height} pixels of each kind, seeds from "
        f"{figures['seed']}. Each cell: without stabilization -> with it. Lower is steadier; `studies/flicker.py` defines the "
        "figures. The exact mask is the target at the network's size, enlarged: its flicker comes from sampling alone.",
        "",
        *table(head, "lllrllrrrrr", rows),
    ]


STUDY = Study("flicker", "Flicker of {model[name]}", FlickerConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
