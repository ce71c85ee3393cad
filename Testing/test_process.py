"""Processes of our own: how they end."""

import gc
import subprocess
import sys

import pytest

from SliceInterpLib.process import uncollected


def ended(command):
    """A process whose command is some lines of Python, when it has ended."""
    lines = "\n".join(f"    {line}" for line in command.splitlines())
    program = (
        "import atexit, sys\n"
        "from SliceInterpLib.process import run_and_leave\n"
        "class Late:\n"
        "    def __del__(self):\n"
        "        print('taken apart')\n"
        "def command():\n"
        "    sys.late = Late()\n"
        "    atexit.register(lambda: print('as registered'))\n"
        f"{lines}\n"
        "run_and_leave(command)\n"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("return 0", 0),
        ("return 3", 3),
        ("sys.exit()", 0),
        ("sys.exit(2)", 2),
        ("sys.exit('no')", 1),
        ("raise ValueError('broken')", 1),
    ],
)
def test_a_process_ends_with_the_code_of_its_command_and_leaves_nothing_undone(command, code):
    end = ended(f"print('done', end=' ')\n{command}")
    assert end.returncode == code
    assert "done as registered" in end.stdout
    assert ("ValueError: broken" in end.stderr) == ("ValueError" in command)


def test_it_takes_nothing_apart():
    assert "taken apart" not in ended("return 0").stdout


def test_no_garbage_is_looked_for_within_and_again_afterwards():
    assert gc.isenabled()
    with pytest.raises(ImportError), uncollected():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
