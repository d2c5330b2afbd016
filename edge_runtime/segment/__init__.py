"""From image files to mask files.

`run.py` is the command, `jobs.py` pairs images with masks, `workers.py` shares them among processes.
"""
