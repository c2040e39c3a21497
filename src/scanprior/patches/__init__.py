"""Intensity, resampling, masks, sampling and the patch store."""
