"""Write what fuzzing starts from: `python cpp_demo/fuzz/seeds.py DIR` fills DIR/model and DIR/image.

Images of every kind that the decoders read, a few pixels large; the specs of the released artifacts, and small networks of
the layers that ours are made of. Needs numpy and Pillow.
"""

from __future__ import annotations

import io
import json
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image

PROJECT = Path(__file__).resolve().parents[2]
FLOAT32, FLOAT16, INT8 = 0, 0x01306B47, 0x000D4B38


def floats(count: int) -> bytes:
    """Return `count` float32 between 0.1 and 1."""
    return np.linspace(0.1, 1.0, count, dtype="<f4").tobytes()


def networks() -> dict[str, tuple[str, bytes]]:
    """Return name -> `.param` and `.bin`."""
    conv = "Convolution c 1 1 in0 a 0=4 1=3 11=3 4=1 2=1 3=1 5=1 6=108 9=3 -23310=2,0.0,6.0"
    depthwise = "ConvolutionDepthWise d 1 1 a b 0=4 1=3 11=3 4=1 5=0 6=36 7=4"
    shapes = "Split s 1 2 b e f\nPooling p 1 1 e g 0=0 1=2 2=2\nInterp i 1 1 g h 0=2 1=2.0 2=2.0 6=0\nConcat t 2 1 h f j 0=0"
    last = "Convolution l 1 1 j k 0=1 1=1 6=8\nSigmoid o 1 1 k out0"
    param = f"7767517\n9 11\nInput in0 0 1 in0\n{conv}\n{depthwise}\n{shapes}\n{last}\n"
    weights = struct.pack("<I", FLOAT32) + floats(108 + 4) + struct.pack("<I", FLOAT32) + floats(36)
    whole = weights + struct.pack("<I", FLOAT16) + bytes(16)
    simple = "7767517\n3 3\nInput in0 0 1 in0\nConvolution c 1 1 in0 1 0=1 1=1 5=1 6=3{}\nSigmoid s 1 1 1 out0\n"
    int8 = struct.pack("<I", INT8) + bytes([1, 2, 3, 0]) + floats(3)
    fused = (
        "7767517\n4 4\nInput in0 0 1 in0\nConvolution c 1 1 in0 1 0=4 1=1 5=1 6=12 8=102\n"
        "ConvolutionDepthWise d 1 1 1 2 0=4 1=1 6=4 7=4 8=1\nReLU s 1 1 2 out0\n"
    )
    fused_bin = struct.pack("<I", INT8) + bytes(12) + floats(4 + 4 + 2) + struct.pack("<I", INT8) + bytes(4) + floats(4 + 1)
    return {
        "plain": (simple.format(""), struct.pack("<I", FLOAT32) + floats(4)),
        "int8": (simple.format(" 8=2"), int8),
        "layers": (param, whole),
        "fused": (fused, fused_bin),
    }


def images() -> dict[str, bytes]:
    """Return file name -> bytes."""
    rng = np.random.default_rng(0)
    color = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (5, 7), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    wanted: list[tuple[str, Image.Image, dict[str, object]]] = [
        *((f"{mode}.png", color.convert(mode), {}) for mode in ("RGB", "L", "1", "P", "RGBA", "LA")),
        *((f"{mode}.jpg", color.convert(mode), {"exif": exif}) for mode in ("RGB", "L", "CMYK")),
        ("deep.png", deep, {}),
        ("progressive.jpg", color, {"progressive": True}),
        ("turned.png", color, {"exif": exif}),
        ("lossy.webp", color, {"exif": exif}),
        ("lossless.webp", color.convert("RGBA"), {"lossless": True}),
    ]  # fmt: skip
    files = {}
    for name, image, options in wanted:
        stream = io.BytesIO()
        image.save(stream, format="JPEG" if name.endswith("jpg") else name.split(".")[1], **options)
        files[name] = stream.getvalue()
    return files


def main() -> None:
    """Write both folders."""
    root = Path(sys.argv[1])
    for kind in ("model", "image"):
        (root / kind).mkdir(parents=True, exist_ok=True)
    for name, content in images().items():
        (root / "image" / name).write_bytes(content)
    for name, (param, weights) in networks().items():
        (root / "model" / name).write_bytes(b"\0" + param.encode() + b"\0" + weights)
    for path in sorted(PROJECT.glob("models/*/*/model.json")):
        spec = json.loads(path.read_text()) | {"provenance": {}, "metrics": {}}  # long, and nobody reads them
        (root / "model" / f"{path.parent.parent.name}-{path.parent.name}").write_text(json.dumps(spec))


if __name__ == "__main__":
    main()
