"""Images on disk and in memory: decoding, resizing, normalization, overlays, folders of images and masks.

`formats.py` decodes, `mask_file.py` reads and writes masks, `dataset.py` reads folders.
"""
