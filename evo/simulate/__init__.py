"""Simulated searches with known truth: what a strategy is worth, without training anything."""
