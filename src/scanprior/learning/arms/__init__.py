"""One small file per arm."""
