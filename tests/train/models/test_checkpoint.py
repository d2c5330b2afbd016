"""Checkpoints that are damaged, foreign or not finite are refused with what to do, without a traceback."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from edge_runtime.errors import InputError
from train.models import load_checkpoint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(size="192"), "got 'size' of type str in .*, expected int"),
        (lambda values: values.update(size=100), "got size 100 .* multiple of 32"),
        (lambda values: values.update(size=True), "got 'size' of type bool"),
        (lambda values: values.update(arch=3), "got 'arch' of type int"),
        (lambda values: values.update(arch="resnext"), "is for 'resnext', expected one of unet_lite"),
        (lambda values: values.update(weights=[1]), "got 'weights' of type list"),
        (lambda values: values.update(training="text"), "got 'training' of type str"),
        (lambda values: values.update(plan=[1]), "got 'plan' of type list"),
        (lambda values: values.update(extra=1), r"got 1 unknown fields \(extra\)"),
        (lambda values: values.pop("weights_license"), "without the field 'weights_license'"),
        (lambda values: values["weights"].update({"head.bias": torch.zeros(7)}), "do not fit unet_lite_s"),
        (lambda values: values["weights"].update({"head.bias": 1.0}), "got 'head.bias' of type float"),
        (lambda values: values["weights"].update({5: torch.zeros(1)}), "got 5 of type Tensor in .*expected a tensor with a name"),
        (lambda values: values["weights"].pop("head.bias"), "do not fit unet_lite_s"),
        (lambda values: values["weights"]["head.bias"].fill_(math.nan), "NaN or infinity in 'head.bias'"),
        (lambda values: values["weights"]["head.bias"].fill_(math.inf), "NaN or infinity in 'head.bias'"),
        (lambda values: values.update(plan={"nowhere": [1, 1]}), "the name of a convolution"),
    ],
)
def test_damaged_fields(change: Callable[[dict[str, Any]], Any], message: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    values = torch.load(tiny_checkpoint, weights_only=True)
    change(values)
    torch.save(values, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match=message):
        load_checkpoint(tmp_path / "checkpoint.pt")


def test_other_files(tiny_checkpoint: Path, tmp_path: Path) -> None:
    whole, path = tiny_checkpoint.read_bytes(), tmp_path / "checkpoint.pt"
    for damaged in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"cannot read .*: \w+Error in torch.load; expected a checkpoint written by"):
            load_checkpoint(path)
    with pytest.raises(InputError, match="expected a checkpoint.pt; train one"):
        load_checkpoint(tmp_path / "absent.pt")
    torch.save(torch.load(tiny_checkpoint, weights_only=True)["weights"], path)  # bare weights, as other projects save them
    with pytest.raises(InputError, match=r"unknown fields \(blocks.*expected a checkpoint of"):
        load_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="got a list in"):
        load_checkpoint(path)
