"""Repair a mask with strokes; `run.py` is the command."""
