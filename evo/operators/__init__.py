"""The operators: how a new version is made from old ones, and what is refused before it is run."""
