"""A whole archive of head CT doubled on Dask: what is in it, what is done already, and the rest."""
