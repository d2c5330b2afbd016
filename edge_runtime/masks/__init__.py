"""What happens to a mask after the network: refinement, stabilization in video, the decision whether there is sky.

`cutout.py` returns an image without its sky, `jobs.py` makes the mask file of one image, `workers.py` makes many at once.
"""
