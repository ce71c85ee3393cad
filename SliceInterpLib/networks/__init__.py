"""Torch modules and the registry of trained models. Only `registry` is free of torch."""
