"""The arena: where a variant is trained and scored by a referee that it can't reach."""
