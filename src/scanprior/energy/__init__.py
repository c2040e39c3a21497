"""Energy models: units, restricted Boltzmann machines, objectives, likelihood, deep belief nets. Torch only."""
