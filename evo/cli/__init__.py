"""The command line: the one place that wires rooms together, and that prints errors."""
