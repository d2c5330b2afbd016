"""Other devices than the CPU: what is said where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from edge_runtime import Segmenter
from edge_runtime.errors import InputError


@pytest.mark.parametrize(("device", "provider"), [("cuda", "CUDA"), ("tensorrt", "Tensorrt")])
def test_gpus_that_are_not_here_are_named(device: str, provider: str, project_root: Path) -> None:
    if f"{provider}ExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("it is here")
    message = f"got device '{device}', but onnxruntime has no {provider}ExecutionProvider here; install onnxruntime-gpu"
    with pytest.raises(InputError, match=message):
        Segmenter.load(project_root / "models" / "unet_lite_s" / "onnx-fp32", device=device)
