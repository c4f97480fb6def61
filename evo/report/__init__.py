"""Reports: what the archive says, in words for people."""
