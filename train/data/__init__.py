"""Labeled images for training: data sets, augmentation, simulated conditions. `sources/` converts public data sets."""
