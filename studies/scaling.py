"""How far skyedge.batch scales: `.cache/envs/ray/bin/python -m studies.scaling`, in the environment of Ray.

One and two workers are measured against `segment`, in turns, on JPEGs of 2 megapixels. More workers are simulated: the
durations of images and the pauses between shards are the measured ones, and the driver handles one task after the other in
the time that it was measured to take for tasks that do nothing.
"""

from __future__ import annotations

import heapq
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edge_runtime.benchmark.machine import describe_machine
from edge_runtime.models import read_model
from scenes.render import generate
from skyedge.batch.results import STAGES
from studies.harness import PROJECT_ROOT, RESULTS, Figures, Study, StudyConfig, model_facts, require, table

BASES = 12  # scenes; every image differs from the others in some pixels
WORKERS = (1, 2)
SIMULATED = (4, 8, 16, 64, 256, 1024, 4096)
SHARDS = (1, 4, 16, 64, 256, 1024)
ARCHIVE = 100_000_000
OVERHEAD = 0.10  # share of a shard's time that Ray may take at the break-even size
NO_NICE = {"RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1"}  # else Ray's workers give way to all other programs
POLL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class ScalingConfig(StudyConfig):
    """Measure one and two workers, Ray's own cost and the memory, and simulate a cluster."""

    model: str = "unet_lite_s/onnx-int8"
    """Released network."""
    images: int = 400
    """JPEGs of 2 megapixels of a measured run."""
    rounds: int = 3
    """Runs of each variant, which take turns; the median counts."""
    shard: int = 25
    """Images of a shard in these runs."""
    empty_tasks: int = 500
    """Tasks without work, for the driver's time."""
    memory_records: int = 10_000
    """Records of the list, which names small images again and again, for the memory of a worker."""
    dollars_per_core_hour: float = 0.04
    """Price of a core."""
    out: Path = RESULTS / "scaling"


def measure(config: ScalingConfig) -> Iterator[tuple[str, Figures]]:
    """Yield one result."""
    require(config, 1, "images", "rounds", "shard", "empty_tasks", "memory_records")
    artifact = read_model(config.model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder / "images", config.images, (1224, 1632))
        runs = in_turns(config, folder)
        figures: Figures = {
            "model": model_facts(artifact),
            "machine": describe_machine().cpu,
            "cores": os.cpu_count(),
            "images": config.images,
            "shard": config.shard,
            "dollars_per_core_hour": config.dollars_per_core_hour,
            "runs": runs,
            "driver_ms_per_task": round(1000 * seconds_per_empty_task(config.empty_tasks), 3),
        }
        figures["simulated"] = simulated(figures)
        yield artifact.spec.name, figures
        figures["memory"] = memory(config, folder)
        yield artifact.spec.name, figures


def make_images(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Write JPEGs of `size` (height, width), no two alike."""
    folder.mkdir()
    bases = [generate(seed, size).image for seed in range(BASES)]
    for number in range(count):
        image = bases[number % BASES].copy()
        image[:8, :8] = [number % 256, number // 256 % 256, 0]
        Image.fromarray(image).save(folder / f"{number:06d}.jpg", quality=90)


def in_turns(config: ScalingConfig, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the runs of every variant: images a second, and for batch what its manifests say."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(config.rounds):
        for workers in WORKERS:
            runs.setdefault(f"segment {workers}", []).append(_segment(config, folder, workers))
            runs.setdefault(f"batch {workers}", []).append(_batch(config, folder, workers))
    return runs


def _segment(config: ScalingConfig, folder: Path, workers: int) -> dict[str, Any]:
    out = folder / "masks"
    start = time.monotonic()
    _command("edge_runtime.segment", folder / "images", "--model", config.model, "--out", out, "--workers", workers)
    seconds = time.monotonic() - start
    shutil.rmtree(out)
    return {"seconds": round(seconds, 2), "rate": round(config.images / seconds, 3)}


def _batch(config: ScalingConfig, folder: Path, workers: int) -> dict[str, Any]:
    out = folder / "dest"
    words = ("--out", out, "--workers", workers, "--shard", config.shard, "--label-next", 0)
    start = time.monotonic()
    _command("skyedge.batch", folder / "images", "--model", config.model, *words)
    seconds = time.monotonic() - start
    found = [json.loads(path.read_text()) for path in (out / "manifests").iterdir()]
    shutil.rmtree(out)
    begin = min(each["started"] for each in found)
    window = max(each["started"] + each["seconds"] for each in found) - begin
    stages = {stage: sum(each["stage_seconds"][stage] for each in found) / config.images for stage in STAGES}
    return {
        "seconds": round(seconds, 2),
        "rate": round(config.images / window, 3),
        "start_seconds": round(seconds - window, 2),
        "image_seconds": [round(each["seconds"] / each["images"], 5) for each in found],
        "gaps": gaps(found),
        "stage_ms": {stage: round(1000 * value, 3) for stage, value in stages.items()},
    }


def gaps(manifests: Sequence[dict[str, Any]]) -> list[float]:
    """Return the pauses between the shards of the same worker, in seconds."""
    ended: dict[str, float] = {}
    found = []
    for each in sorted(manifests, key=lambda each: each["started"]):
        if (before := ended.get(each["worker"])) is not None:
            found.append(round(max(0.0, each["started"] - before), 5))
        ended[each["worker"]] = each["started"] + each["seconds"]
    return found


def _command(module: str, *words: object) -> None:
    environment = os.environ | NO_NICE | {"PYTHONPATH": str(PROJECT_ROOT)}
    subprocess.run([sys.executable, "-m", module, *map(str, words)], check=True, env=environment, capture_output=True)


class Nothing:
    """An actor that does nothing."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch."""
        return batch


def seconds_per_empty_task(count: int) -> float:
    """Return the time between the results of tasks that do nothing, one row each, on two actors."""
    import pyarrow as pa
    import ray

    environment = NO_NICE | {"PYTHONPATH": str(PROJECT_ROOT)}
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": environment})
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = ray.data.from_arrow([pa.table({"row": [row]}) for row in range(count)])
        pool = ray.data.ActorPoolStrategy(size=2, max_tasks_in_flight_per_actor=2)
        times = [time.monotonic() for _ in rows.map_batches(Nothing, batch_size=1, compute=pool).iter_rows()]
        return (times[-1] - times[0]) / (len(times) - 1)
    finally:
        ray.shutdown()


def simulate(workers: int, shard: int, shards: int, image_s: Sequence[float], gap_s: Sequence[float], driver_s: float) -> float:
    """Return the images a second of `workers` that do `shards` shards.

    The driver hands out one shard after the other, `driver_s` each. A worker that waits takes it; its time is a draw of the
    measured seconds for an image, times the shard, and a draw of the measured pauses.
    """
    rng = np.random.default_rng(0)
    cost = rng.choice(image_s, shards) * shard + rng.choice(gap_s, shards)
    free = [0.0] * workers
    driver = 0.0
    for seconds in cost:
        driver = max(driver, free[0] - driver_s) + driver_s
        heapq.heapreplace(free, max(driver, free[0]) + seconds)
    return shard * shards / max(free)


def simulated(figures: Figures) -> dict[str, Any]:
    """Return rates by number of workers at a shard of 256, by shard at 64 workers, and the break-even size of a shard."""
    runs = [run for workers in WORKERS for run in figures["runs"][f"batch {workers}"]]
    image_s = [value for run in runs for value in run["image_seconds"]]
    gap_s = [value for run in runs for value in run["gaps"]] or [0.0]
    driver_s = figures["driver_ms_per_task"] / 1000
    single = 1 / float(np.mean(image_s))
    rates = {str(count): simulate(count, 256, 40 * count, image_s, gap_s, driver_s) for count in SIMULATED}
    by_shard = {str(size): simulate(64, size, 6400, image_s, gap_s, driver_s) for size in SHARDS}
    per_core = single / (1 + float(np.mean(gap_s)) / (256 * float(np.mean(image_s))))
    hours = ARCHIVE / per_core / 3600
    return {
        "single": single,
        "rates": {count: round(rate, 1) for count, rate in rates.items()},
        "by_shard": {size: round(rate, 1) for size, rate in by_shard.items()},
        "gap_ms": round(1000 * float(np.mean(gap_s)), 1),
        "break_even_shard": int(np.ceil(float(np.mean(gap_s)) / (OVERHEAD * float(np.mean(image_s))))),
        "driver_limit_workers": int(256 * float(np.mean(image_s)) / max(driver_s, 1e-6)),
        "images_per_core_hour": int(per_core * 3600),
        "images_per_dollar": int(per_core * 3600 / figures["dollars_per_core_hour"]),
        "core_hours": round(hours),
        "dollars": round(hours * figures["dollars_per_core_hour"]),
    }


def memory(config: ScalingConfig, folder: Path) -> dict[str, Any]:
    """Return the memory of workers over a long list, in MiB: the actor and the process that segments, by PSS and RSS."""
    import psutil

    make_images(folder / "small", 50, (240, 320))
    names = sorted(path.name for path in (folder / "small").iterdir())
    rows = "".join(f"small/{names[number % len(names)]},{number}\n" for number in range(config.memory_records))
    (folder / "list.csv").write_text("uri,number\n" + rows)
    words = [sys.executable, "-m", "skyedge.batch", folder / "list.csv", "--model", config.model, "--out", folder / "dest"]
    words += ["--workers", 2, "--columns", "number", "--label-next", 0]
    environment = os.environ | NO_NICE | {"PYTHONPATH": str(PROJECT_ROOT)}
    run = subprocess.Popen(list(map(str, words)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    samples: list[dict[str, float]] = []
    ended = threading.Event()

    def sample() -> None:
        start = time.monotonic()
        while not ended.wait(POLL_S):
            sizes = [_size(actor) for actor in _find(psutil.Process(run.pid), "ray::MapWorker")]
            driver = _size(psutil.Process(run.pid), alone=True)
            for pss, rss in sizes:
                at = round(time.monotonic() - start, 1)
                samples.append({"s": at, "pss": pss, "rss": rss, "driver_pss": driver[0]})

    watch = threading.Thread(target=sample)
    watch.start()
    said = run.communicate()[0]
    ended.set()
    watch.join()
    return {"records": config.memory_records, "said": said.strip().partition(": /")[0], "samples": samples}


def _find(process: Any, text: str) -> list[Any]:
    import psutil

    found = []
    for child in process.children(recursive=True):
        try:
            if text in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue  # it ended meanwhile
    return found


def _size(process: Any, alone: bool = False) -> tuple[float, float]:
    """Return (PSS, RSS) in MiB of a process with its children."""
    import psutil

    pss = rss = 0
    try:
        for each in [process, *([] if alone else process.children(recursive=True))]:
            full = each.memory_full_info()
            pss, rss = pss + full.pss, rss + full.rss
    except psutil.Error:
        return 0.0, 0.0  # it ended meanwhile
    return round(pss / 2**20, 1), round(rss / 2**20, 1)


def median(figures: Figures, variant: str, key: str = "rate") -> float:
    """Return the median of a variant's runs."""
    return float(np.median([run[key] for run in figures["runs"][variant]]))


def page(figures: Figures) -> list[str]:
    """Return the tables."""
    single, said = median(figures, "batch 1"), figures["simulated"]
    rows = []
    for variant in figures["runs"]:
        rate, workers = median(figures, variant), int(variant.split()[1])
        start = f"{median(figures, variant, 'start_seconds'):.1f}" if variant.startswith("batch") else None
        own = median(figures, f"{variant.split()[0]} 1")
        spread = ", ".join(f"{run['rate']:.1f}" for run in figures["runs"][variant])
        rows.append((variant, f"{rate:.2f}", f"{100 * rate / (workers * own):.0f} %", start, spread))
    stages = figures["runs"]["batch 1"][0]["stage_ms"]
    lines = [
        f"{figures['images']} JPEGs of 2 megapixels on {figures['cores']} cores ({figures['machine']}), shards of about "
        f"{figures['shard']}. The rate of `batch` counts from the first shard's begin to the last one's end; what comes "
        "before and after (Ray's start, the plan, the summary) is the start, which does not grow with the archive.",
        "",
        *table(["variant, workers", "images a second, median", "of workers x one worker", "start, s", "runs"], "lrrrl", rows),
        "",
        f"At one worker `batch` does {100 * single / median(figures, 'segment 1'):.0f} % of the rate of `segment`, at two "
        f"{100 * median(figures, 'batch 2') / median(figures, 'segment 2'):.0f} %: it reads ahead, and keeps records.",
        "",
        "Milliseconds for one image, one worker, by stage: "
        + ", ".join(f"{key} {value:.1f}" for key, value in stages.items())
        + ".",
        "",
        "## Simulated",
        "",
        f"A pause between two shards of a worker is {said['gap_ms']} ms on average, and the driver takes "
        f"{figures['driver_ms_per_task']} ms for a task. Ray takes less than {100 * OVERHEAD:.0f} % from shards of "
        f"{said['break_even_shard']} images on. With shards of 256 one driver keeps "
        f"about {said['driver_limit_workers']} workers busy.",
        "",
        *table(
            ["workers", "images a second, shards of 256", "of workers x one", "hours for 10^8"],
            "rrrr",
            [
                (count, f"{rate:.0f}", f"{100 * rate / (int(count) * said['single']):.0f} %", f"{ARCHIVE / rate / 3600:.1f}")
                for count, rate in said["rates"].items()
            ],
        ),
        "",
        *table(
            ["shard", "images a second, 64 workers"], "rr", [(size, f"{rate:.0f}") for size, rate in said["by_shard"].items()]
        ),
        "",
        f"One core does {said['images_per_core_hour']:,} images an hour, at ${figures['dollars_per_core_hour']} for a core-hour"
        f" {said['images_per_dollar']:,} for a dollar. 10^8 images take {said['core_hours']:,} core-hours and "
        f"${said['dollars']:,}, without storage and transfer.",
    ]
    return lines + (memory_lines(figures["memory"]) if "memory" in figures else [])


def memory_lines(found: dict[str, Any]) -> list[str]:
    """Return the memory over the run, in ten parts."""
    samples = [each for each in found["samples"] if each["pss"] > 0]
    end = max(each["s"] for each in samples) + 1e-6
    rows = []
    for part in range(10):
        inside = [each for each in samples if part <= 10 * each["s"] / end < part + 1]
        cells = [max((each[key] for each in inside), default=None) for key in ("pss", "rss", "driver_pss")]
        rows.append((f"{10 * part} to {10 * part + 10} %", *(None if cell is None else f"{cell:.0f}" for cell in cells)))
    return [
        "",
        "## Memory",
        "",
        f"{found['records']:,} records of a list that names 50 images of 320 x 240 again and again, 2 workers: {found['said']}. "
        "Largest values, MiB, of one worker (the actor and the process that segments): PSS shares common pages out among "
        "processes, RSS counts them in each. The driver is the command itself.",
        "",
        *table(["part of the run", "worker, PSS", "worker, RSS", "driver, PSS"], "lrrr", rows),
    ]


STUDY = Study("scaling", "Scaling of skyedge.batch: {model[name]}", ScalingConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
