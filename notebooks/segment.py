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
# # Find the sky with a released network
# A network of 0.4 MB, on one CPU core. The image is a generated scene; put the path of a photograph in its place.

# %%
from common import ROOT, show

from edge_runtime import Segmenter
from scenes.render import generate

scene = generate(seed=3)
segmenter = Segmenter.load(ROOT / "models/unet_lite_s/onnx-int8")
probability = segmenter(scene.image)  # (H, W) float32 in [0, 1]; a path, bytes or a PIL image will do as well
show(image=scene.image, probability_of_sky=probability, exact_mask=scene.alpha)

# %% [markdown]
# How good is it? Pooled over scenes of every kind, with the metrics of `edge_runtime/metrics/iou.py`, beside two methods without
# a network: `classical:contour` takes for ground what lies inside the largest dark contour of the blue channel,
# `classical:color` takes for sky what is as blue as a sky.

# %%
import numpy as np  # noqa: E402

from edge_runtime.metrics.iou import evaluate_image, pool  # noqa: E402

scenes = [generate(seed) for seed in range(100, 124)]
everywhere = np.ones(scene.alpha.shape, bool)
methods = {"unet_lite_s": segmenter} | {name: Segmenter.load(name) for name in ("classical:contour", "classical:color")}
for name, method in methods.items():
    pooled = pool([evaluate_image(method(each.image), each.alpha, everywhere) for each in scenes])
    print(f"{name:18} IoU {pooled.iou:.3f}, boundary IoU {pooled.boundary_iou:.3f}, mean absolute error {pooled.mae:.3f}")
