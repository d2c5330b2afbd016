"""Core ML artifacts: an .mlpackage, kept as one zip file. Core ML predicts on macOS only."""

from __future__ import annotations

import contextlib
import platform
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends.tensors import NetworkBackend, TensorInfo, check_tensors, import_interpreter, refusing
from edge_runtime.errors import InputError

PACKAGE = "model.mlpackage"
INSIDE = "Data/com.apple.CoreML"
MEMBERS = frozenset(f"{PACKAGE}/{name}" for name in ("Manifest.json", f"{INSIDE}/model.mlmodel", f"{INSIDE}/weights/weight.bin"))
MOST_BYTES = 1 << 31  # of a member, unpacked
FLOAT32, RGB = 65568, 20  # ArrayFeatureType.ArrayDataType and ImageFeatureType.ColorSpace of Core ML's FeatureTypes.proto


class CoremlBackend(NetworkBackend):
    """A loaded Core ML model on the CPU; see `Backend`. Core ML has no number of threads to set."""

    name = "coreml"

    def __init__(self, artifact: Artifact, threads: int, device: str = "cpu") -> None:
        if platform.system() != "Darwin":
            raise InputError(
                f"got an artifact of format coreml on {platform.system()}, expected macOS: Core ML predicts only there; "
                "use a format such as onnx here"
            )
        coremltools = import_interpreter("coremltools", "coreml")
        path = artifact.file("model")
        with refusing(self.name, path), unpacked(path) as package:
            self.model = coremltools.models.MLModel(str(package), compute_units=coremltools.ComputeUnit.CPU_ONLY)
        check_description(artifact, self.model.get_spec().description)
        super().__init__(artifact)

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        """Return the output tensor for an input tensor: bytes, which the model normalizes."""
        output: np.ndarray = self.model.predict({self.spec.input.name: Image.fromarray(tensor[0])})[self.spec.output.name]
        return output


def check_description(artifact: Artifact, description: Any) -> None:
    """Raise `InputError` unless a Core ML `ModelDescription` has the tensors that the artifact's spec promises."""
    images = [_describe_image(artifact, each) for each in description.input]
    check_tensors(artifact.spec, images, [_describe(each) for each in description.output])


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield the .mlpackage of a zip file, in a temporary folder; raises `InputError` where the zip holds anything else."""
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                if {member.filename for member in members} != MEMBERS or len(members) != len(MEMBERS):
                    raise InputError(
                        f"got {path} with other members than {', '.join(sorted(MEMBERS))}; export the artifact again"
                    )
                if any(member.file_size > MOST_BYTES for member in members):
                    raise InputError(f"got {path} with a member above {MOST_BYTES} bytes; export the artifact again")
                archive.extractall(folder)
        except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
            raise InputError(f"got {path}, which is no whole zip file ({error}); export the artifact again") from error
        yield Path(folder) / PACKAGE


def pack(package: Path, path: Path) -> None:
    """Write an .mlpackage as the zip file `path`, uncompressed and without dates, and remove the package."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(MEMBERS):
            archive.writestr(zipfile.ZipInfo(name), (package.parent / name).read_bytes())
    shutil.rmtree(package)


def _describe_image(artifact: Artifact, feature: Any) -> TensorInfo:
    """Return an image input as the bytes that it takes; a description does not hold its scale."""
    image = feature.type.imageType
    dtype = "uint8" if image.colorSpace == RGB else f"color space {image.colorSpace}"
    return TensorInfo((feature.name,), (1, image.height, image.width, 3), dtype, artifact.spec.input.quant)


def _describe(feature: Any) -> TensorInfo:
    tensor = feature.type.multiArrayType
    dtype = "float32" if tensor.dataType == FLOAT32 else f"type {tensor.dataType}"
    return TensorInfo((feature.name,), tuple(tensor.shape), dtype)
