"""Sky replacement and animation (Zou et al. 2020). `run.py` is the command, the other files are its steps."""
