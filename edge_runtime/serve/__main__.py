"""`python -m edge_runtime.serve`."""

from edge_runtime.cli import run_command
from edge_runtime.serve.run import Serve, main

if __name__ == "__main__":
    run_command(main, Serve)
