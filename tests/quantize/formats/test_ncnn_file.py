"""ncnn's two files: what is read is written again byte for byte, and malformed ones are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import InputError
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
    assert layers[1].floats(10) == (0.0, 6.0) and layers[1].with_params({"8": "2"}).integer(8, 0) == 2
    assert struct.unpack_from("<I", tiny[1], 4 + 36 * 4 + 4 * 4) == (0x01306B47,)


def test_int8_layers_are_read_in_the_order_of_the_loader(tmp_path: Path) -> None:
    text = PARAM.replace("6=36 9=3", "6=36 9=3 8=102").replace("6=4 7=4", "6=4 7=4 8=1")
    one = np.ones(4, np.float32)
    first = Weights(np.full((4, 1, 3, 3), -7, np.int8), one, one * 2, 3.0, 4.0)
    net = Net(parse_param(text), {"a": first, "c": Weights(np.full((4, 1, 1, 1), 5, np.int8), None, one, 4.0)})
    write_net(net, tmp_path / "param", tmp_path / "bin")
    content = (tmp_path / "bin").read_bytes()
    assert content[:4] == struct.pack("<I", 0x000D4B38) and content[4:40] == b"\xf9" * 36
    assert struct.unpack("<10f", content[40:80]) == (1, 1, 1, 1, 2, 2, 2, 2, 3, 4)  # bias, weight scales, input, output
    again = read_net(tmp_path / "param", tmp_path / "bin").weights
    assert (again["a"].output_scale, again["c"].output_scale, again["c"].input_scale) == (4.0, None, 4.0)
    # ncnn's loader also knows one scale for all groups.
    shared = parse_bin(content[:-20] + struct.pack("<2f", 9, 4), parse_param(text.replace("8=1\n", "8=2\n")))["c"]
    assert shared.scales is not None and shared.scales.tolist() == [9] and shared.input_scale == 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7767517", "7767516", "got '7767516' on line 1, expected ncnn's magic number 7767517"),
        (PARAM, "", "got no line|got 'no line' on line 1"),
        ("4 5\n", "4\n", "got '4' on line 2, expected the numbers of layers and blobs"),
        ("4 5\n", "-4 5\n", "got '-4 5' on line 2"),
        ("4 5\n", "5 5\n", "got 4 layers, expected 5"),
        ("4 5\n", "4 6\n", "got 5 blobs, expected 6"),
        ("1 1 in0 1 0=4", "1 1 in7 1 0=4", "layer a: got the unknown blob 'in7'"),
        ("1 1 2 4 0=4", "1 1 1 4 0=4", "layer c: got blob '1' a second time, expected a Split"),
        ("1 1 2 4 0=4", "1 1 2 3 0=4", "layer c: got blob '3', which is made already"),
        (" c   ", " a   ", "got two layers 'a'"),
        ("1 1 in0 1 0=4", "1 one in0 1 0=4", "on line 4, expected type, name, and how many blobs"),
        ("1 2 1 2 3\n", "1 9 1 2 3\n", "got too few names of blobs on line 5"),
        ("1 1 in0 1 0=4", "1 2 in0 1 0=4", "got too few names of blobs on line 4"),
        ("6=36", "6", "got '6' on line 4, expected KEY=VALUE"),
        ("6=36", "x=36", "got 'x=36' on line 4"),
        ("6=36", "6=36 6=36", "got '6=36' on line 4, expected KEY=VALUE with a whole number, every key once"),
    ],
)  # fmt: skip
def test_malformed_param_is_refused(old: str, new: str, message: str, tiny: tuple[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "param").write_text(PARAM.replace(old, new, 1))
    (tmp_path / "bin").write_bytes(tiny[1])
    with pytest.raises(InputError, match=message) as caught:
        read_net(tmp_path / "param", tmp_path / "bin")
    assert str(tmp_path / "param") in str(caught.value) and "export it again" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Split ", "Prelu ", "layer b: got type Prelu, whose weights are not known here, expected BinaryOp"),
        ("0=4 1=3", "0=5 1=3", "layer a: got 36 weights for 5 outputs of 3 x 3 in 1 groups"),
        ("6=36", "6=0", "layer a: got 0 weights"),
        ("6=36", "6=many", "layer a: got 6=many, expected a whole number"),
        ("6=36", "6=36 8=3", "layer a: got 8=3, expected one of 0, 2, 102"),
        ("6=36", "6=36 19=1", "layer a: got weights that come as a blob"),
        ("7=4", "7=3", "layer c: got 4 weights for 4 outputs of 1 x 1 in 3 groups"),
        ("6=36", "6=72", "the file is truncated or of another .param"),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit_the_weights_are_refused(old: str, new: str, message: str, tiny: tuple[str, bytes]) -> None:
    with pytest.raises(InputError, match=message):
        parse_bin(tiny[1], parse_param(PARAM.replace(old, new, 1)))


def test_every_truncation_and_any_surplus_is_refused(tiny: tuple[str, bytes]) -> None:
    layers = parse_param(tiny[0])
    for size in range(len(tiny[1])):
        with pytest.raises(InputError, match=r"got \d+ bytes for the .* of layer [ac], expected \d+: the file is truncated"):
            parse_bin(tiny[1][:size], layers)
    with pytest.raises(InputError, match=f"got 4 bytes beyond the {len(tiny[1])} that .param describes, expected none"):
        parse_bin(tiny[1] + bytes(4), layers)
    with pytest.raises(InputError, match="layer a: got tag 0xff, expected one of 0x0"):
        parse_bin(b"\xff\0\0\0" + tiny[1][4:], layers)


def test_array_notations(tiny: tuple[str, bytes]) -> None:
    layers = parse_param(PARAM.replace("-23310=2,0.0,6.0", "10=0.0,6.0"))
    assert layers[1].floats(10) == (0.0, 6.0) and layers[1].floats(11) == ()
    for wrong in ("-23310=3,0.0,6.0", "-23310=2,a,6.0"):
        with pytest.raises(InputError, match="layer a: got .*; export it again"):
            parse_param(PARAM.replace("-23310=2,0.0,6.0", wrong))[1].floats(10)


def test_files_that_are_not_there_or_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "param").write_bytes(b"\xff\xfe7767517")
    for param in (tmp_path / "none", tmp_path / "param"):
        with pytest.raises(InputError, match="cannot read an ncnn network"):
            read_net(param, tmp_path / "param")


def test_format_is_of_pnnx(tiny: tuple[str, bytes]) -> None:
    assert format_param(parse_param(PARAM)) == PARAM
