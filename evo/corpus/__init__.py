"""The corpus: text from its source to token files, three splits and a manifest."""
