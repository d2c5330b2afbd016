"""`python -m skyedge.devices`."""

from edge_runtime.cli import run_command

from skyedge.devices.measure import Devices
from skyedge.devices.run import main

if __name__ == "__main__":
    run_command(main, Devices)
