"""`python -m edge_runtime.video`."""

from edge_runtime.cli import run_command

from edge_runtime.video.run import Video, main

if __name__ == "__main__":
    run_command(main, Video)
