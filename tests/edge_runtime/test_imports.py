"""The device core stays light: no training framework, no host tool, none of our other folders."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import edge_runtime

PACKAGE = Path(edge_runtime.__file__).parent
HOST_TOOLS = {"report", "devices", "batch", "serve"}  # these may need more: the extras [host], [batch] and [serve]
OUR_OTHER_FOLDERS = {"train", "export", "quantize", "cpp_demo"}
# Never needed to run a network on a device, or needed by one backend alone and then imported when it is opened.
HEAVY = {
    "torch", "tensorflow", "matplotlib", "jinja2", "jsonschema", "yaml", "onnx", "litert_torch", "ai_edge_quantizer",
    "pnnx", "onnxruntime", "ai_edge_litert", "tflite_runtime", "ncnn", "pillow_heif",
}  # fmt: skip


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_host_tool(name: str) -> bool:
    """Tell whether `edge_runtime.NAME` is a host tool or a part of one, e.g. `report_plots` of `report`."""
    stem = name.split(".")[1] if "." in name else ""
    return any(stem == tool or stem.startswith(f"{tool}_") for tool in HOST_TOOLS)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
DEVICE_CORE = sorted(name for name in MODULES if not is_host_tool(name))


def imported_names(path: Path, top_level_only: bool) -> set[str]:
    """Return the top-level packages that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("name", DEVICE_CORE)
def test_rich_is_optional_for_the_device_core(name: str) -> None:
    """Some releases of tyro bring rich along and some do not, so it may only be imported where it is used."""
    assert "rich" not in imported_names(MODULES[name], top_level_only=True)


def test_importing_the_device_core_stays_light(tmp_path: Path) -> None:
    """Import every module in turn, in a process of its own, and look at what came with it."""
    code = "\n".join(
        [
            "import importlib, sys",
            f"heavy = {HEAVY | OUR_OTHER_FOLDERS!r}",
            f"for name in {DEVICE_CORE!r}:",
            "    importlib.import_module(name)",
            "    found = heavy & {module.partition('.')[0] for module in sys.modules}",
            "    assert not found, f'{name} imports {found}'",
        ]
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_segmenter_is_imported_when_it_is_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys, edge_runtime; assert 'numpy' not in sys.modules; "
        "from edge_runtime import Segmenter; assert Segmenter.load and 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    with pytest.raises(AttributeError, match="has no attribute 'Segmentor'"):
        edge_runtime.Segmentor  # noqa: B018
