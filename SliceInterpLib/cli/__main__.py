"""The command line as a process: the script, and python -m SliceInterpLib.cli where it is not."""

from SliceInterpLib.cli import main
from SliceInterpLib.process import run_and_leave


def run() -> None:
    """Run the command that the process was started with, and end with its exit code."""
    run_and_leave(main)


if __name__ == "__main__":
    run()
