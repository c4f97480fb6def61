"""The engine: the loop over the verbs, and what it shows of itself to other processes."""
