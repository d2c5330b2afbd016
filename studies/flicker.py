"""Prove stabilization: `python studies/flicker.py --models ARTIFACT... --out DIR` writes NAME.json and NAME.md for each.

Moving scenes with exact masks (`scenes.moving`) are segmented frame by frame, with and without stabilization
(`edge_runtime.masks.stabilize`), and compared with the truth. Two figures say how much a mask p of a truth g flickers; both are
100 times a root mean square, over all pixels and pairs of frames of one shot:

- dtSSD (Erofeev et al. 2015): of e_t(x) - e_{t-1}(x), with the error e = p - g, at fixed pixels. When the camera moves, an
  error that never changes but moves with the picture counts as well: a mask of the network's size cannot be steady in this
  sense however steady it looks (row `exact`, the truth itself at that size).
- along: the same along the motion, e_t(x) - e_{t-1}(back_t(x)), with the scene's exact motion: what a viewer sees flicker.
  After MESSDdt of the same authors, with the exact motion in the place of optical flow.

Lag: where the truth of a pixel changes for four frames or more, by how many frames later the stabilized mask follows than
the unstabilized; and by how many frames the truth must be delayed to fit the mask best where it changes.
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

from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_json, write_text
from edge_runtime.images.ops import resize_probability
from edge_runtime.segmenter import Segmenter
from edge_runtime.video.io import VideoSink, VideoSource
from edge_runtime.video.pipeline import FrameSegmenter
from scenes.moving import MOTIONS, Frame, moving_scene

COMPRESSED = "compressed"  # handheld, through an MPEG-4 file
KINDS = (*MOTIONS, COMPRESSED)
STILL = ("tripod", "clouds", "exposure")  # nothing of the skyline moves: dtSSD and `along` are one
METHODS = ("exact", "raw", "stabilised")
LATEST = 3  # frames after a change that are looked at
HALF = 0.5
COLUMNS = ("iou", "dtssd", "dtssd_network", "along")


@dataclass(frozen=True)
class Config:
    """Measure flicker, IoU and lag on moving scenes, with and without stabilization."""

    models: tuple[Path, ...] = (Path("models/unet_lite_s/onnx-int8"), Path("models/unet_lite/onnx-int8"))  # artifacts
    out: Path = Path("results/flicker")  # folder of the figures
    shots: int = 2  # of each kind
    frames: int = 24  # of each shot
    size: tuple[int, int] = (360, 640)  # height, width of a frame in pixels
    seed: int = 95_000  # of the first shot; the settings were chosen on shots from 1000, 3000 and 90000 on


@dataclass
class Sums:
    """What adds up over frames; `add` takes one frame of a shot after the other."""

    inside: int = 0
    either: int = 0
    squares: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in COLUMNS[1:]})
    _error: np.ndarray | None = None
    _small_error: np.ndarray | None = None

    def add(self, small: np.ndarray, small_truth: np.ndarray, large: np.ndarray, frame: Frame) -> None:
        """Count the map of a frame, at the network's size and at the frame's."""
        called, truth = large >= HALF, frame.alpha >= HALF
        self.inside += int((called & truth).sum())
        self.either += int((called | truth).sum())
        error, small_error = large - frame.alpha, small - small_truth
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
    """How late masks follow the truth."""

    raw: list[np.ndarray] = field(default_factory=list)
    steady: list[np.ndarray] = field(default_factory=list)
    misfit: np.ndarray = field(default_factory=lambda: np.zeros((2, LATEST + 1)))

    def add(self, truth: np.ndarray, raw: np.ndarray, steady: np.ndarray) -> None:
        """Count a shot: called masks (frames, H, W) bool."""
        frames = len(truth)
        for t in range(1, frames - LATEST):
            changed = truth[t] != truth[t - 1]
            for after in range(1, LATEST + 1):
                changed &= truth[t + after] == truth[t]
            self.raw.append(_first_right(raw[t:], truth[t], changed))
            self.steady.append(_first_right(steady[t:], truth[t], changed))
        for t in range(LATEST, frames):
            moving = (truth[t - LATEST : t] != truth[t]).any(0)
            for row, mask in enumerate((raw, steady)):
                self.misfit[row] += [(mask[t] != truth[t - late])[moving].sum() for late in range(LATEST + 1)]

    def figures(self) -> dict[str, Any]:
        """Return the lag in frames: mean delay over changes that both masks followed, share that came too late, best fit."""
        raw, steady = (np.concatenate(found) if found else np.zeros(0, int) for found in (self.raw, self.steady))
        both = (raw <= LATEST) & (steady <= LATEST)
        later = (steady - raw)[both]
        fit = [int(row.argmin()) if row.any() else None for row in self.misfit]
        return {
            "changes": int(both.sum()),
            "mean_delay": round(float(later.mean()), 3) if later.size else None,
            "share_later_than_1": round(float((later > 1).mean()), 4) if later.size else None,
            "followed_raw": round(float((raw <= LATEST).mean()), 4) if raw.size else None,
            "followed_stabilised": round(float((steady <= LATEST).mean()), 4) if steady.size else None,
            "best_fit_raw": fit[0],
            "best_fit_stabilised": fit[1],
        }


def _first_right(masks: np.ndarray, truth: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return for each place how many frames pass until the mask is right; more than LATEST where it does not become so."""
    right = np.stack([mask[where] == truth[where] for mask in masks[: LATEST + 1]] + [np.ones(int(where.sum()), bool)])
    return right.argmax(0)


def shot(kind: str, seed: int, config: Config) -> Iterator[Frame]:
    """Yield the frames of a shot of one of `KINDS`."""
    if kind != COMPRESSED:
        yield from moving_scene(seed, config.frames, config.size, next(name for name in MOTIONS if name == kind))
        return
    frames = list(moving_scene(seed, config.frames, config.size, "handheld"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shot.mp4"
        with VideoSink(path, 25.0, config.size) as sink:
            for frame in frames:
                sink.write(frame.image)
        source = VideoSource(path)
        for frame in frames:
            decoded = source.read()
            if decoded is None:
                raise OSError(f"{path} lost frames on the way through the codec")
            yield Frame(decoded.image, frame.alpha, frame.back, frame.shot)
        source.close()


def measure_shots(kind: str, seeds: Sequence[int], segmenter: Segmenter, config: Config) -> dict[str, Any]:
    """Return the figures of every method on the shots of one kind."""
    sums, lag, cuts = {name: Sums() for name in METHODS}, Lag(), 0
    height, width = segmenter.artifact.size
    for seed in seeds:
        steady = FrameSegmenter(segmenter, stabilise=True)
        assert steady.stabilizer is not None
        called: dict[str, list[np.ndarray]] = {"truth": [], "raw": [], "stabilised": []}
        for frame in shot(kind, seed, config):
            exact = np.clip(cv2.resize(frame.alpha, (width, height), interpolation=cv2.INTER_AREA), 0, 1)
            raw = segmenter.coarse(frame.image).copy()
            maps = {"exact": exact, "raw": raw, "stabilised": steady.steady(frame.image, raw)}
            called["truth"].append(frame.alpha >= HALF)
            for name, small in maps.items():
                large = resize_probability(small, *config.size)
                sums[name].add(small, exact, large, frame)
                if name in called:
                    called[name].append(large >= HALF)
        lag.add(*(np.stack(called[name]) for name in ("truth", "raw", "stabilised")))
        cuts += steady.cuts
    return {**{name: sums[name].figures() for name in METHODS}, "lag": lag.figures(), "cuts_found": cuts}


def overall(kinds: dict[str, Any]) -> dict[str, Any]:
    """Return means over the kinds: of IoU the plain mean, of the flicker figures the root mean square."""
    found: dict[str, Any] = {}
    for method in METHODS:
        rows = [kind[method] for kind in kinds.values()]
        values = {name: round(float(np.sqrt(np.mean([row[name] ** 2 for row in rows]))), 3) for name in COLUMNS[1:]}
        found[method] = {"iou": round(float(np.mean([row["iou"] for row in rows])), 5), **values}
    return found


def markdown(report: dict[str, Any]) -> str:
    """Return the figures as a page."""
    shots, frames = report["shots"], report["frames"]
    size = f"{report['size'][1]} x {report['size'][0]}"
    lines = [
        f"# Flicker of {report['model']['name']}",
        "",
        f"`python studies/flicker.py`: {shots} shots of {frames} frames of {size} of each kind, seeds from {report['seed']}.",
        "Each cell: without stabilization -> with it. Lower is steadier; what each figure is says `studies/flicker.py`. The",
        "exact mask is the truth at the network's size, brought to the frame's size: its flicker is that of sampling alone.",
        "",
        "| motion | IoU | dtSSD | dtSSD of the exact mask | dtSSD at the network's size | along the motion | less, % | "
        "along, exact mask | "
        "delay, frames | later than 1 frame | best fit |",
        "|---|---|---|---:|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, kind in (*report["kinds"].items(), ("all", report["all"])):
        raw, steady, lag = kind["raw"], kind["stabilised"], kind.get("lag")
        cells = [f"{raw['iou']:.4f} -> {steady['iou']:.4f}", f"{raw['dtssd']:.2f} -> {steady['dtssd']:.2f}"]
        cells += [f"{kind['exact']['dtssd']:.2f}", f"{raw['dtssd_network']:.2f} -> {steady['dtssd_network']:.2f}"]
        cells += [f"{raw['along']:.2f} -> {steady['along']:.2f}", f"{100 * (1 - steady['along'] / raw['along']):.0f}"]
        cells.append(f"{kind['exact']['along']:.2f}")
        if lag is None or not lag["changes"]:
            cells += ["-", "-", "-"]
        else:
            late = f"{100 * lag['share_later_than_1']:.1f} %"
            cells += [f"{lag['mean_delay']:.2f}", late, f"{lag['best_fit_stabilised']}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(config: Config) -> None:
    """Measure every model; its files appear when all its kinds are done."""
    if config.shots < 1 or config.frames < LATEST + 2:
        got = f"--shots {config.shots} and --frames {config.frames}"
        raise InputError(f"got {got}, expected 1 or more and {LATEST + 2} or more")
    config.out.mkdir(parents=True, exist_ok=True)
    for model in config.models:
        segmenter = Segmenter.load(model)
        kinds = {}
        for number, kind in enumerate(track(KINDS, segmenter.artifact.spec.name, console=Console(stderr=True))):
            seeds = range(config.seed + 100 * number, config.seed + 100 * number + config.shots)
            kinds[kind] = measure_shots(kind, seeds, segmenter, config)
        spec = segmenter.artifact.spec
        head = {"model": {"name": spec.name, "sha256": segmenter.artifact.sha256}, "shots": config.shots}
        head |= {"frames": config.frames, "size": list(config.size), "seed": config.seed}
        report: dict[str, Any] = {**head, "kinds": kinds, "all": overall(kinds)}
        write_json(config.out / f"{spec.name}.json", report)
        write_text(config.out / f"{spec.name}.md", markdown(report))
        before, after = report["all"]["raw"], report["all"]["stabilised"]
        still = [kinds[kind] for kind in STILL]
        drop = 1 - np.sqrt(sum(k["stabilised"]["dtssd"] ** 2 for k in still) / sum(k["raw"]["dtssd"] ** 2 for k in still))
        along = f"flicker along the motion {before['along']:.2f} -> {after['along']:.2f}"
        at_rest = f"dtSSD {before['dtssd']:.2f} -> {after['dtssd']:.2f} ({-100 * drop:.0f} % where nothing moves)"
        print(f"{spec.name}: {along}, {at_rest}, IoU {before['iou']:.4f} -> {after['iou']:.4f}: {config.out / spec.name}.md")


if __name__ == "__main__":
    run_command(main, Config)
