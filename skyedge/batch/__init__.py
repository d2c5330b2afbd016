"""Masks for archives: `skyedge batch` runs a network over millions of images, on one machine or several that share a folder.

A shard, some hundred images, is the unit of work, of committing and of resuming; docs/archives.md shows its use.
"""
