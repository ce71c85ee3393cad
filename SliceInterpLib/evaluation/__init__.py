"""How good a method is: metrics, statistics, the hold-one-slice-out check, benchmarks."""
