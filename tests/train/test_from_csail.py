"""CSAIL's two files become one sky network that says what theirs does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from edge_runtime.errors import InputError
from train.from_csail import FromCsailConfig, convert
from train.models import MODELS, count_parameters, load_checkpoint
from train.models.csail import csail_resnet50_ppm
from train.models.encoder_weights import IMAGENET_MEAN, IMAGENET_STD

pytestmark = pytest.mark.slow


def test_the_sky_class_of_a_reference_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "csail_resnet50_ppm", lambda: csail_resnet50_ppm(widths=(4, 8, 16, 32)))
    torch.manual_seed(0)
    theirs = MODELS["csail_resnet50_ppm"]().eval()
    encoder, decoder = theirs.encoder, theirs.decoder
    deep = {"cbr_deepsup.0.weight": torch.zeros(2), "conv_last_deepsup.bias": torch.zeros(150)}
    torch.save(encoder.state_dict(), tmp_path / "encoder.pth")
    torch.save(decoder.state_dict() | deep, tmp_path / "decoder.pth")
    path = convert(FromCsailConfig(tmp_path / "encoder.pth", tmp_path / "decoder.pth", tmp_path / "out", size=96))
    pixels = torch.randint(0, 256, (1, 3, 96, 96)).float()
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        features = encoder((pixels / 255 - mean) / std)[-1]
        assert features.shape[-1] == 12, "output stride 8"
        pooled = [features]
        for side, branch in zip((1, 2, 3, 6), decoder.ppm, strict=True):
            small = branch[1:](functional.adaptive_avg_pool2d(features, side))
            pooled.append(functional.interpolate(small, (12, 12), mode="bilinear", align_corners=False))
        shares = decoder.conv_last(torch.cat(pooled, 1)).softmax(1)[:, 2:3]
        got = torch.sigmoid(load_checkpoint(path).build()((pixels - 127) / 128))
    expected = functional.interpolate(torch.logit(shares), (96, 96), mode="bilinear", align_corners=False)
    # Theirs pads with the mean color and ours with gray 127, so that values near the border differ a little.
    assert float((torch.logit(got) - expected).abs().median()) < 0.1 * float(expected.std())


def test_other_files_are_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "encoder.pth")
    with pytest.raises(InputError, match="does not fit DeepStemResNet50"):
        convert(FromCsailConfig(tmp_path / "encoder.pth", tmp_path / "encoder.pth", tmp_path / "out"))
    with pytest.raises(InputError, match="expected a multiple of 96"):
        convert(FromCsailConfig(tmp_path / "encoder.pth", tmp_path / "encoder.pth", tmp_path / "out", size=128))
    assert not (tmp_path / "out").exists()


def test_parameters() -> None:
    with torch.device("meta"):
        assert 46e6 < count_parameters(MODELS["csail_resnet50_ppm"]()) < 48e6
