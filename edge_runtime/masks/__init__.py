"""What happens to a mask after the network: refinement, stabilization in video, the decision whether there is sky.

`cutout.py` returns an image without its sky, `horizon.py` finds where the horizon is.
"""
