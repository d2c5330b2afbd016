"""Damaged and mutated image files: an image is lost at most, never the process."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from child_openers import open_poisoned
from PIL import Image

from edge_runtime.child import Child
from edge_runtime.errors import InputError
from edge_runtime.images import formats
from edge_runtime.images.formats import read_rgb
from edge_runtime.segment.run import Segment, main
from export.consumers import environments

MODEL = Path(__file__).parents[2] / "models" / "unet_lite_s" / "onnx-int8"
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "avif": ("AVIF", {}),
    "raw.tif": ("TIFF", {}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "jpeg.tif": ("TIFF", {"compression": "jpeg"}),
    "zip.tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "webp": ("WEBP", {}),
    "jpg": ("JPEG", {}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
}


def encoded(kind: str) -> bytes:
    file, (name, options) = io.BytesIO(), KINDS[kind]
    Image.fromarray(PIXELS).save(file, name, **options)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    rng, whole, path = np.random.default_rng(1), encoded(kind), tmp_path / f"a.{kind}"
    refused = 0
    for _ in range(60):
        data = bytearray(whole[: int(rng.integers(1, len(whole) + 1))] if rng.random() < 0.3 else whole)
        for _ in range(int(rng.choice([1, 2, 4, 16]))):
            data[int(rng.integers(min(len(data), 400)))] = int(rng.integers(256))
        path.write_bytes(data)
        try:
            assert read_rgb(path).dtype == np.uint8
        except InputError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 3


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    """Let risky formats be decoded by a process that can be crashed."""
    child = Child(open_poisoned)
    monkeypatch.setattr(formats, "DECODER", child)
    yield child
    child.close()


def test_a_crash_costs_one_image(tmp_path: Path, decoder: Child, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.tif", "crash.tif", "crash2.avif", "noise.tif", "z.avif"):
        Image.fromarray(PIXELS).save(tmp_path / name)
    with pytest.raises(InputError, match="2 of 5 inputs failed"):
        main(Segment((tmp_path,), (MODEL,), tmp_path / "out"))
    assert capsys.readouterr().err.count("its decoder crashed; expected a complete") == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "noise.png", "z.png"}


def test_a_decoder_that_hangs_is_ended(tmp_path: Path, decoder: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "DECODE_LIMIT_S", 3.0)
    for name in ("hang.tif", "good.tif"):
        Image.fromarray(PIXELS).save(tmp_path / name)
    with pytest.raises(InputError, match="not done after 3 s"):
        read_rgb(tmp_path / "hang.tif")
    assert np.array_equal(read_rgb(tmp_path / "good.tif"), PIXELS)


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_need_no_temporary_file(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    (tmp_path / f"a.{kind}").write_bytes(encoded(kind))
    assert np.array_equal(read_rgb(encoded(kind)), read_rgb(tmp_path / f"a.{kind}"))
    with pytest.raises(InputError, match="cannot read the image from 40 bytes"):
        read_rgb(encoded(kind)[:40])


@pytest.mark.full
def test_a_frozen_program_starts_once(tmp_path: Path) -> None:
    """It has no Python to start for a risky format: `sys.executable` is the program."""
    app = tmp_path / "app.py"
    app.write_text(
        "import os, sys\n"
        "with open(sys.argv[2], 'a') as starts: starts.write(f'{os.getpid()}\\n')\n"
        "from edge_runtime.images.formats import read_rgb\n"
        "print(read_rgb(sys.argv[1]).shape)\n"
    )
    Image.fromarray(PIXELS).save(tmp_path / "a.tif")
    words = [environments.make("pyinstaller"), "-m", "PyInstaller", "--noconfirm", "--paths", Path(__file__).parents[2], app]
    subprocess.run([str(word) for word in words], cwd=tmp_path, check=True, timeout=900)
    program = [tmp_path / "dist" / "app" / "app", tmp_path / "a.tif", tmp_path / "starts"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert done.stdout == "(32, 48, 3)\n", done.stderr
    assert (tmp_path / "starts").read_text().count("\n") == 1


def test_a_program_without_python_decodes_by_itself(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.tif")
    code = textwrap.dedent(f"""
        import sys
        sys.executable = {str(tmp_path / "program")!r}
        from edge_runtime.images.formats import read_rgb
        assert read_rgb({str(tmp_path / "a.tif")!r}).shape == (32, 48, 3)
    """)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_threads_and_forks_share_no_answer(tmp_path: Path) -> None:
    images = [np.full((40 + number, 50, 3), number, np.uint8) for number in range(8)]
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.tif")
    wrong: list[int] = []

    def check(number: int) -> None:
        for _ in range(5):
            if not np.array_equal(read_rgb(tmp_path / f"{number}.tif"), images[number]):
                wrong.append(number)

    threads = [threading.Thread(target=check, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    code = textwrap.dedent(f"""
        import os
        from pathlib import Path
        from edge_runtime.images.formats import read_rgb
        folder = Path({str(tmp_path)!r})
        read_rgb(folder / "0.tif")
        pid = os.fork()
        for _ in range(20):
            assert read_rgb(folder / ("1.tif" if pid else "2.tif")).max() == (1 if pid else 2)
        if not pid:
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    """)
    if hasattr(os, "fork"):
        subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
