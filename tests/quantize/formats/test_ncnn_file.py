"""ncnn's two files: what is read is written again byte for byte."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import GateError
from quantize.formats.ncnn_file import Net, Weights, format_bin, format_param, parse_bin, parse_param, read_net, write_net

pytestmark = pytest.mark.slow
PARAM = (
    "7767517\n"
    "4 5\n"
    "Input                    in0                      0 1 in0\n"
    "Convolution              a                        1 1 in0 1 0=4 1=3 -23310=2,0.0,6.0 4=1 5=1 6=36 9=3\n"
    "Split                    b                        1 2 1 2 3\n"
    "ConvolutionDepthWise     c                        1 1 2 4 0=4 1=1 5=0 6=4 7=4\n"
)


@pytest.fixture
def tiny() -> tuple[str, bytes]:
    """Return the text and the bytes of a network whose weights are 0, 1, 2 ..."""
    first = Weights(np.arange(36, dtype=np.float32).reshape(4, 1, 3, 3), np.arange(4, dtype=np.float32))
    second = Weights(np.arange(4, dtype=np.float16).reshape(4, 1, 1, 1), None)
    return PARAM, format_bin(Net(parse_param(PARAM), {"a": first, "c": second}))


@pytest.mark.parametrize("name", ["unet_lite", "unet_lite_s", "u2netp"])
def test_released_files_are_written_again_byte_for_byte(name: str, project_root: Path, tmp_path: Path) -> None:
    folder = project_root / "models" / name / "ncnn-fp16"
    net = read_net(folder / "model.param", folder / "model.bin")
    write_net(net, tmp_path / "model.param", tmp_path / "model.bin")
    for file in ("model.param", "model.bin"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()
    assert sum(weights.values.size for weights in net.weights.values()) > 300_000


def test_weights_keep_shapes_types_and_order(tiny: tuple[str, bytes]) -> None:
    layers = parse_param(tiny[0])
    found = parse_bin(tiny[1], layers)
    assert (found["a"].values.shape, found["a"].values.dtype) == ((4, 1, 3, 3), np.float32)
    assert (found["c"].values.shape, found["c"].values.dtype) == ((4, 1, 1, 1), np.float16)
    assert found["a"].values.ravel().tolist() == list(range(36)) and found["a"].bias is not None and found["c"].bias is None
    assert layers[1].params["-23310"] == "2,0.0,6.0" and layers[1].with_params({"8": "2"}).integer(8, 0) == 2
    assert struct.unpack_from("<I", tiny[1], 4 + 36 * 4 + 4 * 4) == (0x01306B47,)


def test_int8_layers_are_written_in_the_order_of_the_loader(tmp_path: Path) -> None:
    text = PARAM.replace("6=36 9=3", "6=36 9=3 8=102").replace("6=4 7=4", "6=4 7=4 8=1")
    one = np.ones(4, np.float32)
    first = Weights(np.full((4, 1, 3, 3), -7, np.int8), one, one * 2, 3.0, 4.0)
    net = Net(parse_param(text), {"a": first, "c": Weights(np.full((4, 1, 1, 1), 5, np.int8), None, one, 4.0)})
    write_net(net, tmp_path / "param", tmp_path / "bin")
    content = (tmp_path / "bin").read_bytes()
    assert content[:4] == struct.pack("<I", 0x000D4B38) and content[4:40] == b"\xf9" * 36
    assert struct.unpack("<10f", content[40:80]) == (1, 1, 1, 1, 2, 2, 2, 2, 3, 4)  # bias, weight scales, input, output
    assert content[80:] == struct.pack("<I", 0x000D4B38) + b"\x05" * 4 + struct.pack("<5f", 1, 1, 1, 1, 4)


def test_files_of_another_pnnx_are_refused(tiny: tuple[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(GateError, match="got '7767516' on line 1 of .param, expected 7767517"):
        parse_param(PARAM.replace("7767517", "7767516"))
    with pytest.raises(GateError, match=rf"got {len(tiny[1]) + 4} bytes in .bin, expected {len(tiny[1])} as .param says"):
        parse_bin(tiny[1] + bytes(4), parse_param(PARAM))


def test_format_is_of_pnnx(tiny: tuple[str, bytes]) -> None:
    assert format_param(parse_param(PARAM)) == PARAM
