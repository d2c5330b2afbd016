"""Other devices than the CPU: the code that GPUs run, run on the CPU, and what is said where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from edge_runtime import Segmenter
from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.backends import open_backend
from edge_runtime.backends.device_images import DeviceImages
from edge_runtime.errors import InputError
from edge_runtime.images.resize import resize_rgb

pytestmark = pytest.mark.slow
SIZES = ((50, 70), (192, 192), (481, 641), (100, 999), (192, 300), (1, 1))  # height, width


def images() -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    return [generator.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]


@pytest.fixture(scope="module")
def segmenter(artifacts: dict[str, Path]) -> Segmenter:
    return Segmenter.load(artifacts["torch-fp32"])


@pytest.fixture(scope="module")
def whole(segmenter: Segmenter) -> DeviceImages:
    """Return what `cuda` uses, on the best device that is here."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return DeviceImages(torch, segmenter.artifact.spec, device, segmenter.backend.program.to(device))


def test_input_on_the_device_is_the_one_of_the_contract(whole: DeviceImages, segmenter: Segmenter) -> None:
    for image in images():
        expected = segmenter.backend.encode(resize_rgb(image, *segmenter.artifact.size))
        assert np.array_equal(whole.encode(image).cpu().numpy(), expected), image.shape


def test_masks_on_the_device_are_those_of_the_cpu(whole: DeviceImages, segmenter: Segmenter) -> None:
    golden = segmenter.artifact.golden().input
    for image in (*images(), golden, np.ascontiguousarray(resize_rgb(golden, 333, 555)[:, ::-1])):
        expected, got = segmenter(image), whole.probability(image)
        assert got.dtype == np.float32 and got.shape == expected.shape
        assert np.abs(got - expected).max() <= 1e-4
        mask = whole.mask(image, segmenter.threshold)
        sure = np.abs(expected - segmenter.threshold) > 1e-4
        assert mask.dtype == bool and np.array_equal(mask[sure], segmenter.mask(image)[sure])


def test_segmenters_use_it(segmenter: Segmenter, whole: DeviceImages) -> None:
    """A `Segmenter` on CUDA holds `device_images`; here it is given to one on the CPU."""
    on_device = Segmenter.load(segmenter.artifact.folder)
    on_device.backend.device_images = whole
    image = images()[0]
    assert np.array_equal(on_device(image), whole.probability(image))
    assert np.array_equal(on_device.mask(image[..., ::-1], color="BGR"), whole.mask(image, 0.5))


@pytest.mark.parametrize("value", [float("nan"), 2.0, -1.0])
def test_outputs_that_are_no_probabilities_are_refused(whole: DeviceImages, value: float) -> None:
    broken = DeviceImages(torch, whole.spec, whole.device, lambda tensor: torch.full_like(tensor[:, :1], value))
    for call in (broken.probability, lambda image: broken.mask(image, 0.5)):
        with pytest.raises(InputError, match="got network output from .*, expected 0 to 1"):
            call(images()[0])


def test_onnx_leaves_the_mask_on_the_device(artifacts: dict[str, Path]) -> None:
    artifact = read_artifact(artifacts["onnx-fp32"])
    gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    backend, golden = open_backend(artifact, device="cuda" if gpu else "cpu"), artifact.golden()
    held = backend.run_on_device(golden.input)
    assert held.device_name() == ("cuda" if gpu else "cpu")
    assert np.abs(held.numpy()[0, 0] - golden.output).max() <= 1e-4
    with pytest.raises(InputError, match="resize it with resize_rgb"):
        backend.run_on_device(golden.input[:-1])


@pytest.mark.parametrize(("device", "provider"), [("cuda", "CUDA"), ("tensorrt", "Tensorrt")])
def test_gpus_that_are_not_here_are_named(device: str, provider: str, artifacts: dict[str, Path]) -> None:
    if f"{provider}ExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("it is here")
    message = f"got device '{device}', but onnxruntime has no {provider}ExecutionProvider here; install onnxruntime-gpu"
    with pytest.raises(InputError, match=message):
        open_backend(read_artifact(artifacts["onnx-fp32"]), device=device)
