"""One writer of int8 artifacts for each format. `quantize/int8.py` is the command."""
