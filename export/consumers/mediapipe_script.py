"""Runs in an environment that has mediapipe: `python mediapipe_script.py MODEL IMAGE.npy OUTPUT.npz`, without our packages.

Reads (H, W, 3) uint8 RGB, writes `confidence` (H, W) float32 and `category` (H, W) uint8, and prints the labels as JSON.
"""

import json
import sys

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

model, image, output = sys.argv[1:]
options = vision.ImageSegmenterOptions(
    base_options=BaseOptions(model_asset_path=model), output_category_mask=True, output_confidence_masks=True
)
with vision.ImageSegmenter.create_from_options(options) as segmenter:
    result = segmenter.segment(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.load(image)))
    confidence = result.confidence_masks[0].numpy_view().squeeze()
    np.savez(output, confidence=confidence, category=result.category_mask.numpy_view().squeeze())
    print(json.dumps({"labels": list(segmenter.labels)}))
