"""Where tables are printed."""

from __future__ import annotations

import rich.console


def wide() -> rich.console.Console:
    """Return a console as wide as the terminal; 140 columns in a pipe or a file, where tables would be cut at 80."""
    return rich.console.Console(width=None if rich.console.Console().is_terminal else 140)
