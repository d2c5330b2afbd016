"""From image files to mask files.

`run.py` is the command, `outputs.py` pairs images with their files, `mask.py` is the path from one image to its mask.
"""
