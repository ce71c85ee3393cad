"""Hematomas in head CT: found, measured, and compared between grids and time points."""
