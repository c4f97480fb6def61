"""evo: a population-based search engine for training code."""

__version__ = "0.1.0"
