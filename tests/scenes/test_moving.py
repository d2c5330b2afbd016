"""Moving scenes: exact masks that move as the image does, and the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import InputError
from edge_runtime.video.read import VideoSource
from scenes.moving import MOTIONS, Motion, MovingConfig, main, moving_scene

SIZE = (72, 128)


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion(motion: Motion) -> None:
    frames = list(moving_scene(3, 6, SIZE, motion))
    again = list(moving_scene(3, 6, SIZE, motion))
    assert len(frames) == 6
    for frame, same in zip(frames, again, strict=True):
        assert frame.image.shape == (*SIZE, 3) and frame.image.dtype == np.uint8
        assert frame.alpha.shape == SIZE and 0 <= frame.alpha.min() <= frame.alpha.max() <= 1
        assert 0.02 < frame.alpha.mean() < 0.98
        assert np.array_equal(frame.image, same.image) and np.array_equal(frame.alpha, same.alpha)
    assert [frame.shot for frame in frames] == ([0, 0, 0, 1, 1, 1] if motion == "cut" else [0] * 6)
    for frame, before in zip(frames[1:], frames, strict=False):
        assert not np.array_equal(frame.image, before.image)  # the noise at least
    still = np.array_equal(frames[0].alpha, frames[-1].alpha)
    assert still == (motion in ("tripod", "clouds", "exposure"))


@pytest.mark.parametrize("motion", ["pan", "handheld", "dolly", "objects"])
def test_back_says_where_things_were(motion: Motion) -> None:
    """Fetched along `back`, the frame before is nearly this one; at the same place it is not."""
    along, fixed = [], []
    for seed in range(2):
        first, second = list(moving_scene(seed, 2, (144, 256), motion))
        assert np.isnan(first.back).all()
        seen = np.isfinite(second.back[..., 0])
        assert seen.mean() > 0.8
        back = np.nan_to_num(second.back)
        moved = cv2.remap(first.alpha, back[..., 0], back[..., 1], cv2.INTER_LINEAR)
        along.append(np.square(moved - second.alpha)[seen].mean())
        fixed.append(np.square(first.alpha - second.alpha)[seen].mean())
    assert np.mean(along) < 0.5 * np.mean(fixed)


def test_the_mask_is_the_share_of_sky() -> None:
    """Where all is sky the image is brighter and bluer or grayer than below: masks and images belong together."""
    frame = next(moving_scene(1, 1, (144, 256), "tripod", "city", "overcast"))
    sky, ground = frame.image[frame.alpha > 0.99].mean(), frame.image[frame.alpha < 0.01].mean()
    assert sky > ground + 20


def test_bad_arguments() -> None:
    for arguments, message in (
        ((-1, 5), "a seed of 0 or more"),
        ((0, 0), "1 frame or more"),
        ((0, 5, (16, 64)), "sides of 32 to 8192 pixels"),
        ((0, 5, SIZE, "jump"), "got motion 'jump'"),
        ((0, 5, SIZE, "pan", "indoor"), "a kind of scene with sky"),
        ((0, 5, SIZE, "pan", None, "none"), "got sky 'none'"),
    ):
        with pytest.raises(InputError, match=message):
            next(moving_scene(*arguments))  # type: ignore[arg-type]


def test_the_command(project_root: Path, tmp_path: Path) -> None:
    clip, masks = tmp_path / "clip.mkv", tmp_path / "masks.mkv"
    words = ["-m", "scenes.moving", "--frames", "5", "--size", "72", "128", "--motion", "objects"]
    done = subprocess.run(
        [sys.executable, *words, "--out", str(clip), "--masks", str(masks)], cwd=project_root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"5 frames of 128 x 72, objects, seed 0: {clip}\n"
    images, targets = VideoSource(clip), VideoSource(masks)
    for frame in moving_scene(0, 5, SIZE, "objects"):
        assert np.array_equal(images.read().image, frame.image)  # type: ignore[union-attr]
        assert np.array_equal(targets.read().image[..., 0], np.rint(frame.alpha * 255).astype(np.uint8))  # type: ignore[union-attr]
    with pytest.raises(InputError, match="clip.mkv, which exists already"):
        main(MovingConfig(out=clip))
    with pytest.raises(InputError, match="expected a name that ends in .mkv"):
        main(MovingConfig(out=clip, masks=tmp_path / "masks.mp4"))
