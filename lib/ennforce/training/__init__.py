"""Data set, training loop and metrics."""
