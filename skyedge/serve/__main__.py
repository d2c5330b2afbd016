"""`python -m skyedge.serve`."""

from edge_runtime.cli import run_command

from skyedge.serve.run import Serve, main

if __name__ == "__main__":
    run_command(main, Serve)
