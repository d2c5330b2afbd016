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
# # Sky without a network: contours and colors
# Two methods of classical image processing. The first takes for ground what lies inside the largest dark contour of the
# blue channel, the second takes for sky what is as blue as a sky. Both are measured in every benchmark as
# `classical:contour` and `classical:color`.

# %%
from common import ROOT, show

from edge_runtime import Segmenter
from scenes.render import generate

METHODS = {name: Segmenter.load(f"classical:{name}") for name in ("contour", "color")}
for kind, sky in (("mountain", "clear"), ("city", "overcast"), ("street", "night")):
    scene = generate(seed=5, kind=kind, sky=sky)
    show(image=scene.image, **{name: method(scene.image) for name, method in METHODS.items()})

# %% [markdown]
# A blue sky is easy. Clouds and dusk are not: there a network is needed, and it is not much slower.

# %%
import numpy as np  # noqa: E402

from edge_runtime.metrics.iou import evaluate_image, pool  # noqa: E402

METHODS["unet_lite_s"] = Segmenter.load(ROOT / "models/unet_lite_s/onnx-int8")
everywhere = np.ones(scene.alpha.shape, bool)
for sky in ("clear", "overcast", "sunset", "night"):
    scenes = [generate(seed, kind="city", sky=sky) for seed in range(6)]
    for name, method in METHODS.items():
        found = pool([evaluate_image(method(each.image), each.alpha, everywhere) for each in scenes])
        print(f"{sky:10} {name:12} IoU {found.iou:.3f}")
