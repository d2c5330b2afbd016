"""`python -m edge_runtime.batch`."""

from edge_runtime.batch.run import Batch, main
from edge_runtime.cli import run_command

if __name__ == "__main__":
    run_command(main, Batch)
