"""Videos and cameras: reading and writing by PyAV, and the one loop between them.

`format.py` holds what a written video takes over from its source, `read.py` and `write.py` are the two ends, `pipeline.py` is the
loop and `run.py` the command.
"""
