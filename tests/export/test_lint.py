"""Which programs take an artifact: real ones are run, and the rules for others are tried on graphs that break them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_runtime.artifact.artifact import Artifact, read_artifact
from edge_runtime.errors import GateError, InputError
from export import lint
from export.consumers import verdict
from export.consumers.verdict import Sample, Verdict, compared, replay, sample
from export.lint import BEGIN, END, LintConfig, details, overview

pytestmark = pytest.mark.slow


def test_every_program_takes_the_float_onnx(artifacts: dict[str, Path]) -> None:
    found = {each.consumer: each for each in lint.lint(read_artifact(artifacts["onnx-fp32"]))}
    assert set(found) == {"onnxruntime", "OpenVINO", "OpenCV DNN"}
    assert all(each.takes and each.agreement == 1.0 for each in found.values()), found


def test_programs_take_the_float_tflite(artifacts: dict[str, Path]) -> None:
    found = {each.consumer: each for each in lint.lint(read_artifact(artifacts["tflite-fp32"]))}
    assert found["LiteRT, XNNPACK"].takes
    assert found["OpenVINO"].takes and found["OpenVINO"].agreement == 1.0
    assert found["MediaPipe Tasks"].takes is not False


def test_exported_resizes_have_no_input_without_a_name(artifacts: dict[str, Path]) -> None:
    graph = onnx.load(artifacts["onnx-fp32"] / "model.onnx").graph
    resizes = [node for node in graph.node if node.op_type == "Resize"]
    assert len(resizes) == 4 and all(all(node.input) for node in resizes)


@pytest.fixture
def artifact(artifacts: dict[str, Path]) -> Artifact:
    return read_artifact(artifacts["onnx-fp32"])


def test_wrong_masks_are_told_from_right_ones(artifact: Artifact) -> None:
    given = sample(artifact)
    golden = given.expected[0]
    assert compared("it", given, [golden]) == Verdict("it", True, 1.0, "")
    wrong = compared("it", given, [1.0 - golden])
    assert wrong.takes is False and wrong.agreement == 0.0 and wrong.why.endswith("without an error")
    stored = dataclasses.replace(artifact.spec.quantization, precision="int8")
    changed = dataclasses.replace(artifact, spec=dataclasses.replace(artifact.spec, quantization=stored))
    int8 = dataclasses.replace(given, artifact=changed)
    assert compared("it", int8, [1.0 - golden]).takes is False and compared("it", int8, [golden]).takes is True
    one_pixel = golden.copy()
    one_pixel[0, 0] = 1.0 - one_pixel[0, 0]
    assert compared("it", int8, [one_pixel]).takes is True and compared("it", given, [one_pixel]).takes is False
    # A photograph counts where the artifact's own mask of it holds sky and ground.
    photos = Sample(changed, given.images * 3, [golden, golden, np.zeros_like(golden)])
    good, shifted = compared("it", photos, [golden] * 3), compared("it", photos, [golden, np.roll(golden, 9, axis=0), golden])
    assert good.takes is True and good.photos == (1.0,)
    assert shifted.takes is False and shifted.agreement == 1.0 and 0.5 < shifted.photos[0] < 0.99


@pytest.mark.parametrize(
    ("program", "why"),
    [("os.abort()", r"it crashes \(SIGABRT\)"), ("raise ValueError('no such node')", "ValueError: no such node")],
)
def test_crashes_and_objections_are_verdicts(
    program: str, why: str, artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "foreign.py").write_text(f"import os\n{program}\n")
    monkeypatch.setattr(verdict, "FOREIGN", tmp_path / "foreign.py")
    found = replay("it", sample(artifact), "it")
    assert found.takes is False and found.agreement is None and re.fullmatch(why, found.why)


def test_command_fills_the_page_and_fails_on_silent_faults(
    artifacts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, written = tmp_path / "page.md", tmp_path / "details.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    config = LintConfig((artifacts["ncnn-fp32"],), page=page, details=written)
    lint.main(config)
    text = page.read_text()
    assert (
        text.startswith("before\n") and text.endswith("after\n") and "old" not in text and "| ncnn | ncnn | 1 of 1 |  |" in text
    )
    assert "| yes | 1.0000 |" in written.read_text() and capsys.readouterr().out in written.read_text()
    page.write_text("no marks")
    with pytest.raises(InputError, match="without the marks"):
        lint.main(config)
    monkeypatch.setattr(lint, "lint", lambda *_: [Verdict("it", False, 0.2, "wrong")])
    with pytest.raises(GateError, match=r"other masks without an error: \S+/ncnn-fp32 in it"):
        lint.main(LintConfig((artifacts["ncnn-fp32"],)))
    with pytest.raises(InputError, match="got no artifact"):
        lint.main(LintConfig(()))


def test_photographs_are_compared(artifacts: dict[str, Path], scene_dir: Path) -> None:
    images = sorted((scene_dir / "test" / "images").iterdir())
    (found,) = lint.lint(read_artifact(artifacts["ncnn-fp32"]), images[:2])
    assert found.takes is True and found.photos == ()  # its own interpreter is what others are compared with
    onnx_found = {each.consumer: each for each in lint.lint(read_artifact(artifacts["onnx-fp32"]), images)}
    assert len(onnx_found["OpenVINO"].photos) > 5 and min(onnx_found["OpenVINO"].photos) > 0.999
    with pytest.raises(InputError, match="got --count 50 and 12 images in"):
        lint.photographs(LintConfig((), scene_dir))


def test_table_names_what_differs(artifact: Artifact) -> None:
    verdicts = [Verdict("A", True, 0.99951, "", (0.99, 0.97)), Verdict("B", False, None, "no such node")]
    name = f"{artifact.folder.parent.name}/{artifact.folder.name}"
    assert details([(artifact, verdicts)]).splitlines()[2:] == [
        f"| {name} | A | yes | 0.9995 | mean 0.9800, worst 0.97 |  |",
        f"| {name} | B | **no** |  |  | no such node |",
    ]
    rows = overview([(artifact, verdicts)]).splitlines()[2:]
    assert rows == ["| A | ONNX | 1 of 1; mean 0.9800, worst 0.97 |  |", "| B | ONNX | 0 of 1 |  |"]


def test_an_int8_file_for_mediapipe_needs_other_ends(project_root: Path) -> None:
    folder = project_root / "models" / "unet_lite_s" / "tflite-int8"
    found = verdict.mediapipe(sample(read_artifact(folder)))
    assert found.takes in (None, False) and ("INT8" in found.why or "not installed" in found.why)
