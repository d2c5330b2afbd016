"""`python -m edge_runtime.segment`."""

from edge_runtime.cli import run_command

from edge_runtime.segment.run import Segment, main

if __name__ == "__main__":
    run_command(main, Segment)
