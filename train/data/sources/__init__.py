"""Parts of `train.adapters`, a published layout each; every module's docstring gives the tree, the place and the terms.

`plan`: what an adapter hands over, and the helpers that they share. `ade20k`, `cityscapes`, `skyfinder`: the data
sets. `regions`: COCO and labelme files. `folder`: images and masks of your own.
"""
