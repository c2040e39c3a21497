"""Splits, draws, metrics, intervals, label savings and the verdict: pure functions of arrays and generators."""
