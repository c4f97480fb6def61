"""The search: which version to build on next, and what became of the ones that were measured.

Pure: no clock, no file, no process, no global random state. Told the same records it asks the same
briefs, so a resumed run is a replay of `tell`.
"""
