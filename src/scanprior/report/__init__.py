"""The report: figures, page and templates."""
