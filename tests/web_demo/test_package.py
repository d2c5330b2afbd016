"""The npm package: its tarball, installed into an app of Vite that knows nothing of this project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime import Segmenter
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.resize import to_mask8
from scenes.render import generate

pytestmark = pytest.mark.full  # installs the interpreters of browsers once more

MAIN = """
import { load, type Mask } from "skyedge";
const sky = await load("sky/model.json");
const image = await createImageBitmap(await (await fetch("scene.png")).blob(), { colorSpaceConversion: "none" });
const mask: Mask = await sky.segment(image);
Object.assign(globalThis, { found: { runtime: sky.runtime, mask: [...mask.toMask8()] } });
"""
OPTIONS = {"strict": True, "target": "ES2022", "module": "ESNext", "moduleResolution": "bundler", "lib": ["ES2022", "DOM"]}


def test_it_works_in_an_app_of_others(web_demo: Path, chromium: str, node: str, project_root: Path, tmp_path: Path) -> None:
    def run(*words: str | Path, cwd: Path) -> None:
        done = subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    run("npm", "run", "--silent", "build:lib", cwd=web_demo)
    run("npm", "pack", "--silent", "--pack-destination", tmp_path, cwd=web_demo)
    (tarball,) = tmp_path.glob("*.tgz")
    assert tarball.stat().st_size < 100_000
    ours = json.loads((web_demo / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    tools = {name: ours[name] for name in ("vite", "typescript")}
    app = tmp_path / "app"
    (app / "public").mkdir(parents=True)
    package = {"name": "app", "type": "module", "dependencies": {"skyedge": f"file:{tarball}"}, "devDependencies": tools}
    (app / "package.json").write_text(json.dumps(package), encoding="utf-8")
    (app / "tsconfig.json").write_text(
        json.dumps({"compilerOptions": {**OPTIONS, "noEmit": True}, "files": ["main.ts"]}), encoding="utf-8"
    )
    (app / "vite.config.js").write_text('export default { base: "./", build: { target: "es2022" } };', encoding="utf-8")
    (app / "index.html").write_text('<!doctype html><script type="module" src="./main.ts"></script>', encoding="utf-8")
    (app / "main.ts").write_text(MAIN, encoding="utf-8")
    Image.fromarray(generate(527, (480, 640)).image).save(app / "public" / "scene.png")
    model = project_root / "models" / "unet_lite" / "tflite-uint8"  # bytes at both ends
    shutil.copytree(model, app / "public" / "sky")
    run("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", cwd=app)
    run("npx", "skyedge-runtime", "public/runtime", cwd=app)
    run("npx", "tsc", cwd=app)
    run("npx", "vite", "build", cwd=app)

    script = project_root / "tests" / "web_demo" / "package.mjs"
    words = [node, str(script), str(web_demo), str(app / "dist"), str(tmp_path / "found.json")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env=os.environ | {"CHROMIUM": chromium})
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["runtime"].startswith("LiteRT wasm")
    expected = to_mask8(Segmenter.load(model)(read_rgb(app / "public" / "scene.png"))).astype(int)
    assert np.abs(np.array(found["mask"]).reshape(expected.shape) - expected).max() <= 2
