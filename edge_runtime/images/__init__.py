"""Images on disk and in memory: decoding, resizing, normalization, overlays, folders of images and masks.

`mask_file.py` reads and marks masks, `isolated.py` decodes what could crash the process, `dataset.py` reads folders.
"""
