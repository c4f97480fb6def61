"""The screens of a run: one module each."""
