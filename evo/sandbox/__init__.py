"""The sandbox: the only way in which code that evo didn't write is started."""
