"""The short name: `import skyedge`, and the verbs of the command `skyedge`."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edge_runtime.segmenter
import skyedge
from skyedge.command import VERBS


def run(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m skyedge`."""
    return subprocess.run([sys.executable, "-m", "skyedge", *map(str, words)], cwd=cwd, capture_output=True, text=True)


def test_public_names_are_those_of_the_runtime(project_root: Path) -> None:
    assert skyedge.Segmenter is edge_runtime.segmenter.Segmenter
    for name in skyedge.__all__:
        assert getattr(skyedge, name).__name__ == name
    assert set(skyedge.__all__) < set(dir(skyedge))
    with pytest.raises(AttributeError, match="no attribute 'Segmentor'"):
        skyedge.Segmentor  # noqa: B018
    assert skyedge.__version__ == tomllib.loads((project_root / "pyproject.toml").read_text())["project"]["version"]


def test_importing_it_imports_nothing_heavy() -> None:
    program = "import sys, skyedge; print(*sorted({'numpy', 'cv2', 'PIL', 'onnxruntime', 'tyro'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_lists_its_flags(verb: str) -> None:
    done = run(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: skyedge {verb}" in done.stdout


def test_installed_networks_are_listed_with_their_terms(project_root: Path) -> None:
    lines = run("models").stdout.splitlines()
    assert len(lines) == len(list((project_root / "models").glob("*/*/model.json")))
    terms = {line.split()[0]: line.split(" MB  ")[1] for line in lines}
    assert "non-commercial" in terms["unet_lite/onnx-int8"] and terms["unet_lite_s_open/tflite-int8"] == "CC BY 4.0"


def test_segment_needs_nothing_but_an_image(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "photo.png")
    done = run("segment", "photo.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = np.rint(255 * skyedge.Segmenter.load("unet_lite_s")(image))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "masks" / "photo.png")), expected)


def test_help_version_and_unknown_verbs() -> None:
    assert run("--version").stdout == f"skyedge {skyedge.__version__}\n"
    shown = run("--help")
    assert shown.returncode == 0 and all(f"  {verb} " in shown.stdout for verb in VERBS)
    for words, got in (((), "'no verb'"), (("segmnet", "a.jpg"), "'segmnet'")):
        done = run(*words)
        assert done.returncode == 2 and f"error: got {got}, expected one of models, segment, " in done.stderr


def test_errors_keep_their_exit_codes(tmp_path: Path) -> None:
    done = run("segment", tmp_path / "missing.jpg", "--out", tmp_path / "out")
    assert done.returncode == 2 and "missing.jpg, which does not exist" in done.stderr
    assert not (tmp_path / "out").exists()
