"""What a user may choose about int8: methods, layers in float, and the ranking that chooses layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.errors import GateError, InputError
from edge_runtime.images.dataset import find_pairs
from edge_runtime.images.network_input import Size
from edge_runtime.images.resize import resize_probability, resize_rgb
from edge_runtime.metrics.iou import evaluate_pairs, pool
from export.network import Network, load_network
from export.parity import run_torch
from export.pipeline import Converted
from quantize import int8, sensitivity
from quantize.calibration.labeled import LabeledSet
from quantize.calibration.layers import convolution_weights, layers_of
from quantize.calibration.observe import Range, observe
from quantize.calibration.ranges import Method
from quantize.calibration.ranking import LayerScore, rank, round_input, round_weight
from quantize.formats import ncnn_int8, onnx_int8
from quantize.int8 import FORMATS, Int8Config, quantize
from studies import quantizers

pytestmark = pytest.mark.slow
SIZE = Size.square(64)


@pytest.fixture(scope="module")
def network(tiny_checkpoint: Path) -> Network:
    return load_network(tiny_checkpoint, "64")


@pytest.fixture(scope="module")
def labeled(scene_dir: Path) -> LabeledSet:
    return LabeledSet(find_pairs(scene_dir, "test")[:6], SIZE)


def test_ranges_are_ends_or_limits() -> None:
    rng = np.random.default_rng(0)
    inputs = [np.full((2, 2, 3), value, np.uint8) for value in range(4)]

    def run(image: np.ndarray) -> list[tuple[str, np.ndarray]]:
        wide = rng.normal(size=20_000).astype(np.float32)
        wide[0] = -50.0
        return [("wide", wide), ("positive", np.abs(wide)), ("by image", np.array([image.max(), 1.0], np.float32))]

    ends = observe(run, inputs, "minmax")
    assert ends["wide"].low == -50.0 and 3 < ends["wide"].high < 6 and ends["positive"].high == 50.0
    assert ends["by image"] == Range(0.0, 3.0)
    limited = observe(run, inputs, "entropy")
    assert -7 < limited["wide"].low < -2 and limited["positive"].low > 0 and limited["positive"].high < 7
    with pytest.raises(GateError, match="no finite values in x"):
        observe(lambda _: [("x", np.array([np.nan]))], inputs, "minmax")


def test_rounding_by_hand() -> None:
    weight = torch.tensor([[[[127.0, 1.4]]], [[[0.0, 0.0]]]])
    assert torch.equal(round_weight(weight), torch.tensor([[[[127.0, 1.0]]], [[[0.0, 0.0]]]]))
    x = torch.tensor([-1.0, 0.0, 0.004, 254.0, 300.0])
    assert torch.allclose(round_input(x, Range(-1.0, 254.0)), torch.tensor([-1.0, 0.0, 0.0, 254.0, 254.0]))


def test_layers_are_found_by_their_weights(network: Network) -> None:
    weights = convolution_weights(network)
    found = {f"layer_{number}": values for number, values in enumerate(weights.values())}
    names = list(weights)
    assert layers_of(network, frozenset({names[3], "head"}), found) == {names[3]: "layer_3", "head": f"layer_{len(names) - 1}"}
    with pytest.raises(GateError, match="got 0 layers of the file with the weights of head"):
        layers_of(network, frozenset({"head"}), {"layer_0": weights["stem.1"]})


@pytest.mark.parametrize("artifact_format", ["onnx", "ncnn", pytest.param("tflite", marks=pytest.mark.full)])
def test_named_layers_stay_float_and_methods_differ(
    artifact_format: str, scene_dir: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    base = Int8Config(
        scene_dir, tiny_checkpoint, "64", format=(artifact_format,), min_agreement=0.8, out=tmp_path / "plain", method="minmax"
    )  # type: ignore[arg-type]  # fmt: skip
    quantize(base)
    keep = ("context.1.pointwise.0", "head")
    quantize(int8.dataclasses.replace(base, keep_float=keep, method="entropy", out=tmp_path / "kept"))
    plain, kept = read_artifact(tmp_path / "plain"), read_artifact(tmp_path / "kept")
    assert kept.spec.provenance["kept_float"] == sorted(keep) and plain.spec.provenance["kept_float"] == []
    # 128 x 128 weights, which take four bytes instead of one, or in ncnn two.
    assert 0.8 * 16_384 < kept.size_bytes - plain.size_bytes < 4 * 16_384
    assert "2" in kept.spec.quantization.weights and "--keep-float context.1.pointwise.0 head" in kept.spec.provenance["command"]
    assert not np.array_equal(plain.golden().output, kept.golden().output)


def test_ranking_finds_a_layer_with_an_outlier(network: Network, labeled: LabeledSet, tiny_checkpoint: Path) -> None:
    broken = load_network(tiny_checkpoint, "64")
    layer = broken.folded.network.get_submodule("refine.2.pointwise.0")
    with torch.no_grad():
        # One weight of a channel that is 500 times the others leaves them no levels; the input that it reads is always 0.
        layer.weight[:, 0] = 500 * layer.weight.abs().max()
        broken.folded.network.get_submodule("refine.2.depthwise.0").weight[0] = 0.0
        broken.folded.network.get_submodule("refine.2.depthwise.0").bias[0] = 0.0
    scores = rank(broken, labeled.images, labeled.images)
    assert scores[0].name == "refine.2.pointwise.0" and scores[0].agreement < 0.9
    assert len(scores) == len(convolution_weights(network)) and sum(score.macs_share for score in scores) == pytest.approx(1.0)


def test_labeled_set_scores_as_evaluation_does(network: Network, labeled: LabeledSet, scene_dir: Path) -> None:
    def predict(image: np.ndarray) -> np.ndarray:
        return resize_probability(run_torch(network.reference, [resize_rgb(image, SIZE.height, SIZE.width)])[0], *image.shape[:2])

    expected = pool(evaluate_pairs(predict, find_pairs(scene_dir, "test")[:6])).iou
    masks = run_torch(network.reference, labeled.images)
    assert labeled.iou(masks) == pytest.approx(expected, abs=1e-9)


def test_auto_leaves_as_few_layers_as_it_takes(
    scene_dir: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real ncnn network whose weights are zeroed unless the three worst layers stay float."""
    worst = ["head", "refine.3.pointwise.0", "refine.3.depthwise.0"]
    needed = set(worst)
    calibrations: list[Path] = []
    tried: list[int] = []

    class Fragile:
        def __init__(self, network: Network, images: Sequence[np.ndarray], folder: Path, method: Method | None) -> None:
            calibrations.append(folder)
            self.good = ncnn_int8.calibrate(network, images, folder, method)
            broken = load_network(tiny_checkpoint, "64")
            with torch.no_grad():
                broken.folded.network.get_submodule("head").bias.fill_(-1e3)
            self.bad = ncnn_int8.calibrate(broken, images, folder, method)

        def __call__(self, keep: frozenset[str], folder: Path) -> Converted:
            tried.append(len(keep))
            return (self.good if keep >= needed else self.bad)(frozenset(), folder)

    monkeypatch.setitem(FORMATS, "ncnn", Fragile)
    rest = [name for name in convolution_weights(load_network(tiny_checkpoint, "64")) if name not in worst]
    monkeypatch.setattr(int8, "rank", lambda *_: [LayerScore(name, 0.0, 0.0) for name in worst + rest])
    config = Int8Config(
        scene_dir, tiny_checkpoint, "64", format=("ncnn",), min_agreement=0.8, max_drop=8.0, eval=scene_dir, split="test",
        keep_float=("AUTO",), out=tmp_path / "out",
    )  # fmt: skip
    quantize(config)
    assert len(calibrations) == 1, "calibrated and exported once, however many sets of layers are tried"
    assert tried == [0, 1, 2, 4, 3] and read_artifact(tmp_path / "out").spec.provenance["kept_float"] == sorted(worst)
    needed.add("a layer that is not ranked")
    with pytest.raises(GateError, match="ncnn: agreement with fp32"):
        quantize(int8.dataclasses.replace(config, out=tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_bad_words_are_refused(scene_dir: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    for wrong, message in (
        ({"keep_float": ("AUTO", "head"), "eval": scene_dir}, "expected AUTO alone"),
        ({"keep_float": ("tail",)}, "got --keep-float tail, expected convolutions, such as stem.1"),
    ):
        with pytest.raises(InputError, match=message):
            quantize(Int8Config(scene_dir, tiny_checkpoint, **wrong))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="got --count 0, expected 1 or more images"):
        sensitivity.measure(sensitivity.SensitivityConfig(scene_dir, tiny_checkpoint, count=0))
    with pytest.raises(InputError, match="got --formats nothing, expected some of onnx"):
        list(quantizers.measure(quantizers.QuantizersConfig(data=scene_dir, checkpoint=tiny_checkpoint, formats=("nothing",))))


def test_comparison_of_real_runtimes(scene_dir: Path, tiny_checkpoint: Path) -> None:
    config = quantizers.QuantizersConfig(
        data=scene_dir,
        checkpoint=tiny_checkpoint,
        split="test",
        formats=("ncnn", "onnx"),
        calib_count=4,
        count=4,
        rounds=2,
    )
    ((_, result),) = quantizers.measure(config)
    assert not [row for row in result["rows"] if "failed" in row]
    by_runtime = {(row["runtime"], row["precision"]): row for row in result["rows"]}
    assert by_runtime["onnxruntime", "fp32"]["max_abs"] < 1e-4 and by_runtime["ncnn", "int8"]["agreement"] > 0.9
    assert all(len(row["infer_ms"]) == 2 for row in result["rows"])
    table = "\n".join(quantizers.page(result))
    assert table.count("\n| ") == 1 + len(result["rows"]) and "| onnxruntime | int8 | entropy |" in table


def test_clipping_methods_spare_the_probability(network: Network, labeled: LabeledSet, tmp_path: Path) -> None:
    onnx_int8.calibrate(network, labeled.images, tmp_path, "entropy")(frozenset(), tmp_path)
    graph = onnx.load(tmp_path / "model.onnx").graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (last,) = (node for node in graph.node if "sky" in node.output)
    assert last.op_type == "DequantizeLinear"
    assert values[last.input[1]] == pytest.approx(1 / 255) and values[last.input[2]] == 0
