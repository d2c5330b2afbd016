"""Repair a mask with strokes. `run.py` is the command, `saved_pair.py` reads the image and mask that it works on."""
