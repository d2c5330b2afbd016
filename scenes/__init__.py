"""Procedural images with exact sky masks, still (`render.py`) and moving (`moving.py`). The same seed gives the same pixels."""
