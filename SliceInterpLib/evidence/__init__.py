"""How far to trust synthetic slices, measured on the user's own scan."""
