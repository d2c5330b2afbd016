"""Masks for archives: `python -m skyedge.batch` runs a network over millions of images on Ray Data.

A shard, some hundred images, is the unit of work, of committing and of resuming; docs/archives.md shows its use.
"""
