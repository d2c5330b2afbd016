"""`python -m skyedge.batch`."""

from edge_runtime.cli import run_command

from skyedge.batch.run import Batch, main

if __name__ == "__main__":
    run_command(main, Batch)
