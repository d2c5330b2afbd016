"""From a checkpoint to an artifact, one command for each format. `pipeline.py` checks parity before anything is written."""
