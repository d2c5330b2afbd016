"""`python -m edge_runtime.report`."""

from edge_runtime.cli import run_command
from edge_runtime.report.build import ReportConfig, main

if __name__ == "__main__":
    run_command(main, ReportConfig)
