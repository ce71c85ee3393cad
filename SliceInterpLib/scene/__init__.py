"""MRML: nodes and volumes, comparison, the panel. The only part of the library that uses Slicer."""
