"""`python -m skyedge.report`."""

from edge_runtime.cli import run_command

from skyedge.report.build import ReportConfig, main

if __name__ == "__main__":
    run_command(main, ReportConfig)
