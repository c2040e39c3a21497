"""DICOM, NIfTI and BIDS to volumes and a cohort table; refuses when in doubt."""
