"""Hematomas of known volume in the built-in head, measured on thick and on doubled slices."""
