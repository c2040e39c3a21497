"""Learning from patches: the pretraining module, the prior on disk, the arms, dense prediction."""
