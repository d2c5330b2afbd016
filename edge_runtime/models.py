"""What `--model` may name: an artifact folder, the name of a released network, `classical:contour` or `classical:color`.

Classical methods have no weights, folder or `model.json`. They become an `Artifact` in memory, so that every command takes
them too. Their file is the source file of the methods: size and SHA-256 come from it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.artifact.artifact import Artifact, GoldenPair, read_artifact
from edge_runtime.artifact.spec import SCHEMA_VERSION, FileEntry, Golden, InputSpec, ModelSpec, OutputSpec, Quantization
from edge_runtime.backends import FORMATS, classical_methods
from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256

CLASSICAL = "classical:"
SOURCE = Path(classical_methods.__file__)
GOLDEN_HORIZON = 0.55  # of the golden image's height
MODELS_PACKAGE = "skyedge_models"  # of the distribution skyedge-models: all released artifacts
RELEASED_NAME = re.compile(r"[a-z0-9_]+(/[a-z0-9]+-[a-z0-9]+(-\d+x\d+)?)?")
RELEASED_KINDS = ("onnx-fp32", "onnx-fp16", "ncnn-fp16", "onnx-int8", "tflite-int8", "ncnn-int8")  # the best first


@dataclass(frozen=True, repr=False)
class ClassicalArtifact(Artifact):
    """A method of `edge_runtime.backends.classical_methods` as an artifact; its `folder` is only a name."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the source file's digest and the method's name, since methods share the file."""
        return hashlib.sha256(f"{self.spec.files['model'].sha256} {self.spec.name}".encode()).hexdigest()

    def file(self, role: str) -> Path:
        """Return the source file."""
        return SOURCE

    def golden(self) -> GoldenPair:
        """Draw a blue sky over brown ground with a level horizon, where both methods must find exactly the sky."""
        height, width = self.size
        horizon = round(GOLDEN_HORIZON * height)
        image = np.empty((height, width, 3), np.uint8)
        image[:horizon] = np.linspace((70, 120, 200), (170, 200, 235), horizon).astype(np.uint8)[:, None]
        noise = np.random.default_rng(0).integers(-12, 13, (height - horizon, width, 1))
        image[horizon:] = np.array((96, 78, 54)) + noise
        sky = np.zeros((height, width), np.float32)
        sky[:horizon] = 1
        return GoldenPair(image, sky)


def is_named(model: Path | str) -> bool:
    """Tell whether `model` names a classical method, not a folder."""
    return str(model).startswith(CLASSICAL)


def read_model(model: Path | str) -> Artifact:
    """Read and check what `model` names; raises `InputError` where there is no such model."""
    text = str(model)
    if text.startswith(CLASSICAL):
        return _classical(text)
    folder = Path(model)
    return read_artifact(folder if folder.exists() else _released(text) or folder)


def released_roots() -> list[Path]:
    """Return the folders of released networks that are here: of a checkout, of the package with all, of the wheel."""
    house = Path(__file__).parent
    project = house.parent
    roots = [project / "models"] if (project / "pyproject.toml").is_file() else []
    spec = importlib.util.find_spec(MODELS_PACKAGE)
    more = [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]
    return [*roots, *more, house / "weights"]


def _released(name: str) -> Path | None:
    """Return the folder of a released network, `NETWORK` or `NETWORK/FORMAT-PRECISION`, None where `name` is no such name.

    Raises `InputError` for a name that might be one, of a network that is not here.
    """
    if not RELEASED_NAME.fullmatch(name):
        return None
    network, _, kind = name.partition("/")
    kinds = [kind] if kind else [each for each in RELEASED_KINDS if FORMATS[each.partition("-")[0]].installed()]
    roots = released_roots()
    found = next((root / network / each for root in roots for each in kinds if (root / network / each).is_dir()), None)
    if found is None:
        unread = sorted({path.parent.name for root in roots for path in root.glob(f"{network}/*/model.json")})
        if unread and not kind:
            raise InputError(
                f"got {name}, which is here as {', '.join(unread)}, expected an interpreter of one of them; "
                f"install one: pip install 'skyedge[{unread[0].partition('-')[0]}]'"
            )
        here = ", ".join(sorted({path.parents[1].name for root in roots for path in root.glob("*/*/model.json")}))
        raise InputError(
            f"got {name}: no such folder, expected an artifact folder (export/to_*.py makes them) or the name of a released "
            f"network, of which {here or 'none'} is here; pip install skyedge-models brings all"
        )
    return found


def _classical(text: str) -> ClassicalArtifact:
    method = text.removeprefix(CLASSICAL)
    if method not in classical_methods.METHODS:
        expected = " or ".join(CLASSICAL + name for name in classical_methods.METHODS)
        raise InputError(f"got model {text!r}, expected {expected}")
    spec = ModelSpec(
        schema_version=SCHEMA_VERSION,
        name=f"classical-{method}",
        arch=f"classical_{method}",
        format="classical",
        files={"model": FileEntry(SOURCE.name, file_sha256(SOURCE), SOURCE.stat().st_size)},
        input=InputSpec(
            name="image",
            shape=(1, classical_methods.HEIGHT, classical_methods.WIDTH, 3),
            layout="NHWC",
            dtype="uint8",
            color="RGB",
            resize="pillow_bilinear",
            mean=(0, 0, 0),
            std=(1, 1, 1),
            quant=None,
        ),
        output=OutputSpec(name="sky", meaning="probability", threshold=0.5, dtype="float32", quant=None),
        quantization=Quantization(precision="uint8", weights="none", activations="none", calibration=None),
        golden=Golden(input="drawn", output="drawn", atol=0.0),
        provenance={},
        metrics={},
        weights_license="Apache-2.0",
    )
    return ClassicalArtifact(Path(text), spec)
