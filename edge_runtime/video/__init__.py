"""Segmentation of videos and cameras: reading, the threads between the stages, writing. Masks may be stabilized on the way."""
