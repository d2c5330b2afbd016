"""The wheels of `make wheels`, installed by pip into environments of their own, which stay in .cache between runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.segmenter import Segmenter
from scenes.render import generate

pytestmark = pytest.mark.full  # the first run installs onnxruntime twice
FROM_NOWHERE = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run(*words: str | Path, cwd: Path | None = None) -> str:
    """Run a command that must succeed; return its stdout."""
    done = subprocess.run(list(map(str, words)), cwd=cwd, env=FROM_NOWHERE, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    run("make", "--no-print-directory", "wheels", f"WHEELS={folder}", cwd=project_root)
    return folder


def install(wheels: Path, name: str, extras: str) -> Path:
    """Install skyedge with extras and what it asks for; return the folder of the environment's commands."""
    folder = Path(__file__).resolve().parents[2] / ".cache" / "envs" / name
    python = folder / "bin" / "python"
    if not python.exists():
        run(sys.executable, "-m", "venv", folder)
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--find-links", wheels)
    (wheel,) = wheels.glob("skyedge-*.whl")
    run(*pip, f"{wheel}{extras}")
    run(*pip, "--force-reinstall", "--no-deps", *wheels.glob("*.whl" if extras else "skyedge-*.whl"))  # of the same version
    run(python, "-m", "pip", "check")
    return folder / "bin"


@pytest.fixture(scope="module")
def lean(wheels: Path) -> Path:
    return install(wheels, "wheel", "")


@pytest.fixture(scope="module")
def rich(wheels: Path) -> Path:
    return install(wheels, "wheel-extras", "[serve,models,skyseg,opencv]")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    Image.fromarray(generate(3, (240, 320), "mountain", "clear").image).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_the_wheel_is_small_and_holds_the_runtime_alone(wheels: Path) -> None:
    (wheel,) = wheels.glob("skyedge-*.whl")
    assert wheel.stat().st_size < 1.3e6  # the weights as ONNX, and as TFLite for 32-bit Arm
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"edge_runtime", "skyedge"}
    assert "edge_runtime/weights/unet_lite_s/onnx-int8/model.onnx" in names


def test_pip_install_gives_a_command_with_weights(lean: Path, scene: Path, tmp_path: Path) -> None:
    assert not list(lean.parent.glob("lib/*/site-packages/cv2"))
    assert [path.name for path in lean.iterdir() if "skyedge" in path.name] == ["skyedge"]
    assert run(lean / "skyedge", "--version").startswith("skyedge 0.")
    run(lean / "skyedge", "segment", "photo.png", "--overlay", cwd=tmp_path)
    expected = np.rint(255 * Segmenter.load("unet_lite_s/onnx-int8")(scene)).astype(int)
    made = np.asarray(Image.open(tmp_path / "masks" / "photo.png")).astype(int)
    assert np.mean(made == expected) > 0.99 and np.abs(made - expected).max() <= 64  # another onnxruntime, and no OpenCV
    assert (tmp_path / "masks" / "photo.overlay.jpg").is_file()
    assert "ok" in run(lean / "skyedge", "verify", "unet_lite_s")


def test_the_lean_installation_serves_python(lean: Path, scene: Path, tmp_path: Path) -> None:
    program = (
        "import skyedge, edge_runtime; print(skyedge.__version__)\n"
        "segmenter = skyedge.Segmenter.load('unet_lite_s'); print(segmenter)\n"
        "masks = segmenter.batch(['photo.png', 'photo.png']); assert (masks[0] == masks[1]).all()\n"
        "skyedge.remove_sky('photo.png').save('cut.png')\n"
        "import sys; print(sorted({'cv2', 'torch'} & set(sys.modules)))"
    )
    version, name, heavy = run(lean / "python", "-c", program, cwd=tmp_path).splitlines()
    assert name == "Segmenter('unet_lite_s-192-int8-onnx', onnxruntime)" and heavy == "[]" and version.startswith("0.")
    assert Image.open(tmp_path / "cut.png").mode == "RGBA"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("segment", "photo.png", "--refine"), "needs OpenCV (No module named 'cv2'); install it: pip install 'skyedge[opencv]'"),
        (("segment", "photo.png", "--model", "unet_lite"), "pip install skyedge-models brings all"),
        (("serve",), "serving needs FastAPI and uvicorn"),
        (("report", "results.json"), "needs markupsafe; install it: pip install 'skyedge[host]'"),
    ],
)
def test_what_is_missing_is_named(words: tuple[str, ...], message: str, lean: Path, scene: Path, tmp_path: Path) -> None:
    done = subprocess.run([lean / "skyedge", *words], cwd=tmp_path, env=FROM_NOWHERE, capture_output=True, text=True)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_models_have_names_in_any_folder(rich: Path, scene: Path, tmp_path: Path) -> None:
    program = "import skyedge; s = skyedge.Segmenter.load('unet_lite'); print(s); print(s('photo.png').shape)"
    assert run(rich / "python", "-c", program, cwd=tmp_path).splitlines() == [
        "Segmenter('unet_lite-256-fp32-onnx', onnxruntime)",
        "(240, 320)",
    ]


# As facebookresearch/vggt uses the public skyseg.onnx; then the pooled IoU with the masks of the network that the file holds.
FOREIGN = """
import sys
import cv2, numpy as np, onnxruntime, skyedge
session, segmenter = onnxruntime.InferenceSession("skyseg.onnx"), skyedge.Segmenter.load(sys.argv[1])
both = either = 0
for path in sys.argv[2:]:
    image = cv2.imread(path)
    given = cv2.cvtColor(cv2.resize(image, (320, 320)), cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    given = ((given - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)[None].astype("float32")
    scores = np.squeeze(session.run(None, {session.get_inputs()[0].name: given})[0])
    levels = ((scores - scores.min()) / (scores.max() - scores.min()) * 255).astype("uint8")
    sky = cv2.resize(levels, image.shape[1::-1]) >= 32
    own = segmenter(image[..., ::-1]) >= 0.5
    if 0.01 < own.mean() < 0.99:  # its users stretch the output, which needs sky and ground
        both, either = both + (sky & own).sum(), either + (sky | own).sum()
print(both / either)
"""


def test_the_drop_in_is_made_by_the_wheel_and_gives_its_masks(
    rich: Path, wheels: Path, sky_data: Path, project_root: Path, tmp_path: Path
) -> None:
    shipped = project_root / "models" / "u2netp_open"
    model = "u2netp_open/onnx-fp32" if (shipped / "onnx-fp32").is_dir() else "unet_lite/onnx-fp32"
    assert "max-abs" in run(rich / "skyedge", "skyseg", "--model", model, "--out", "skyseg.onnx", cwd=tmp_path)
    assert not list(rich.parent.glob("lib/*/site-packages/export")), "the maker needs the wheels alone"
    photos = sorted((sky_data / "test" / "images").iterdir())[::13][:60]
    assert len(photos) >= 50 and float(run(rich / "python", "-c", FOREIGN, model, *photos, cwd=tmp_path)) > 0.95
    if (shipped / "skyseg.onnx").is_file():
        (wheel,) = wheels.glob("skyedge_models-*.whl")
        with zipfile.ZipFile(wheel) as content:
            assert 3e6 < content.getinfo("skyedge_models/u2netp_open/skyseg.onnx").file_size < 6e6


def test_the_installed_server_answers(rich: Path, scene: Path) -> None:
    command = [rich / "skyedge", "serve", "--port", "0"]
    with subprocess.Popen(command, env=FROM_NOWHERE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            request = urllib.request.Request(f"{address}/mask", scene.read_bytes(), {"Content-Type": "image/png"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert answer.read().startswith(b"\x89PNG")
            with urllib.request.urlopen(f"{address}/health", timeout=60) as answer:
                assert json.load(answer)["status"] == "ok"
        finally:
            server.terminate()
