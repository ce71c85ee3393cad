"""Training of the networks: slice triplets, losses, the trainer."""
