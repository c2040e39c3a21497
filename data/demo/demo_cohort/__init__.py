"""The recipe of the demo cohort: real anatomy, invented people, delivered the way hospitals deliver."""
