"""How a generation's outcome is decided and made known."""
