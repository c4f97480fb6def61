"""What the terminal interface never loads: it takes seconds."""

import subprocess
import sys

HEAVY = ("litellm", "torch", "ray", "deap", "aiohttp")
CODE = f"""
import sys
from importlib import import_module
import evo.cli.tui, evo.tui.app, evo.tui.notices, evo.tui.start
from evo.tui.screens import PANES
for name in PANES:
    import_module(f"evo.tui.panes.{{name}}")
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_no_screen_loads_what_takes_seconds() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
