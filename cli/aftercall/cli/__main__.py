"""Run the command as `python -m aftercall.cli`."""

from __future__ import annotations

from aftercall.cli import main

main.main()
