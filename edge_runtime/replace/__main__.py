"""`python -m edge_runtime.replace`."""

from edge_runtime.cli import run_command
from edge_runtime.replace.run import Replace, main

if __name__ == "__main__":
    run_command(main, Replace)
