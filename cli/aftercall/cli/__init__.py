"""The aftercall command."""
