"""`python -m skyedge.correct`."""

from edge_runtime.cli import run_command

from skyedge.correct.run import Correct, main

if __name__ == "__main__":
    run_command(main, Correct)
