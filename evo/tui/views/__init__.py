"""What the screens show, as plain data: nothing here knows of a terminal."""
