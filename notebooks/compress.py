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
# # From float32 to int8
# The exporter checks the float32 file against torch. The quantizer observes the network on calibration images, writes
# integers, and checks the masks on images that it did not calibrate with.

# %%
from common import BUILD, ROOT, run, show

CHECKPOINT = ROOT / "models/unet_lite_s/checkpoint.pt"
run("-m", "scenes.render", "--out", BUILD / "calibration", "--count", "48", "--seed", "7000", "--split", "train")
images = BUILD / "calibration" / "train"
run("export/to_onnx.py", "--checkpoint", CHECKPOINT, "--out", BUILD / "onnx-fp32")
flags = ["--format", "onnx", "--min-agreement", "0.9", "--out", BUILD / "onnx-int8"]
run("quantize/int8.py", "--checkpoint", CHECKPOINT, "--calib", images, *flags)

# %% [markdown]
# The same mask from a third of the bytes:

# %%
from edge_runtime import Segmenter  # noqa: E402
from scenes.render import generate  # noqa: E402

scene = generate(seed=3)
masks = {name: Segmenter.load(BUILD / f"onnx-{name}")(scene.image) for name in ("fp32", "int8")}
show(image=scene.image, **masks)
for name in masks:
    size = sum(path.stat().st_size for path in (BUILD / f"onnx-{name}").glob("*.onnx"))
    print(f"{name}: {size / 1e6:.2f} MB")
print(f"largest difference {abs(masks['fp32'] - masks['int8']).max():.3f}")

# %% [markdown]
# Latency against accuracy of both, measured in turns; `docs/benchmarks.md` has the rules.

# %%
run("-m", "scenes.render", "--out", BUILD / "scored", "--count", "12", "--seed", "8000", "--split", "test")
models = [BUILD / "onnx-fp32", BUILD / "onnx-int8"]
flags = ["--split", "test", "--threads", "1", "--quick", "--overwrite", "--out", BUILD / "results.json"]
run("-m", "edge_runtime.benchmark", "--models", *models, "--data", BUILD / "scored", *flags)
