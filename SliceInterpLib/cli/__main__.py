"""python -m SliceInterpLib.cli: the command line where no script is installed."""

import sys

from SliceInterpLib.cli import main

sys.exit(main())
