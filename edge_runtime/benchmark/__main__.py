"""`python -m edge_runtime.benchmark`."""

from edge_runtime.cli import run_command

from edge_runtime.benchmark.run import BenchmarkConfig, main

if __name__ == "__main__":
    run_command(main, BenchmarkConfig)
