"""Methods and networks of others, and simpler ones, to measure against."""
