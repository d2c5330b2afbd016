"""Images on disk and in memory: decoding, resizing, normalization, overlays. `dataset.py` reads folders of images and masks."""
