"""SliceInterp: double the through-plane resolution of head CT, and say honestly how well.

Importing this package is quick and needs neither torch nor Slicer; torch is imported
when a network is first used.
"""

__version__ = "0.1.0"
