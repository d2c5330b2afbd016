"""`python -m edge_runtime.benchmark`."""

from edge_runtime.benchmark.run import BenchmarkConfig, main
from edge_runtime.cli import run_command

if __name__ == "__main__":
    run_command(main, BenchmarkConfig)
