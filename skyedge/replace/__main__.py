"""`python -m skyedge.replace`."""

from edge_runtime.cli import run_command

from skyedge.replace.run import Replace, main

if __name__ == "__main__":
    run_command(main, Replace)
