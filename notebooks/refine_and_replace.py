# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Finer edges, another sky
# The network sees a small image, so edges of its mask are soft. Refinement (Liba et al. 2020, weighted guided filter
# and density) brings them to the edges of the image; then another sky can stand behind them.

# %%
import numpy as np
from common import BUILD, ROOT, run, show
from PIL import Image

from edge_runtime import Segmenter
from edge_runtime.masks.refine import refine
from scenes.render import generate

MODEL = ROOT / "models/unet_lite/onnx-int8"
scene = generate(seed=12, kind="trees", sky="cloudy", size=(480, 640))
segmenter = Segmenter.load(MODEL)
plain = segmenter(scene.image)
finer = refine(scene.image, segmenter.low_res(scene.image))
show(image=scene.image, network=plain, refined=finer)
for name, mask in (("network", plain), ("refined", finer)):
    print(f"{name}: mean absolute error {np.abs(mask - scene.alpha).mean():.4f}")

# %%
BUILD.mkdir(parents=True, exist_ok=True)
Image.fromarray(scene.image).save(BUILD / "trees.png")
skies = {}
for sky in ("sunset", "stars"):
    flags = ["--model", MODEL, "--sky", sky, "--out", BUILD / f"{sky}.png", "--overwrite"]
    run("-m", "skyedge.replace", BUILD / "trees.png", *flags)
    skies[sky] = np.asarray(Image.open(BUILD / f"{sky}.png"))
show(before=scene.image, **skies)
