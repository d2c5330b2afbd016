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
# # Train on your own images
# A data folder holds `train/images`, `train/masks` and the same for `val` and `test`. Here scenes are generated; with
# your own images leave this cell out. Ten steps show that it runs; a preset without `--steps` trains as long as the
# released networks were.

# %%
from common import BUILD, run

DATA = BUILD / "data"
run("-m", "scenes.render", "--out", DATA, "--count", "24", "--seed", "1", "--split", "train")
run("-m", "scenes.render", "--out", DATA, "--count", "12", "--seed", "500", "--split", "val")
run("-m", "scenes.render", "--out", DATA, "--count", "12", "--seed", "900", "--split", "test")

# %%
OUT = BUILD / "run"
run("train/fit.py", "unet_lite_s", "--data", DATA, "--steps", "10", "--batches", "4", "--out", OUT, "--overwrite")

# %% [markdown]
# The run keeps its curves: the loss of each step, and IoU on `val`.

# %%
import matplotlib.pyplot as plt  # noqa: E402

plt.figure(figsize=(10, 4.5))
plt.imshow(plt.imread(OUT / "curves.png"))
plt.axis("off")
plt.show()

# %%
run("train/evaluate.py", OUT / "checkpoint.pt", "--data", DATA, "--split", "test", "--out", BUILD / "evaluation")
