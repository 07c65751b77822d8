"""Figures from analysis results only; one module a figure, one style for all."""
