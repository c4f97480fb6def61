"""The terminal interface: watch, ask and steer a search; it reads files and writes to the inbox."""
