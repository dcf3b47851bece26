"""One call's way from its event to its published transcript."""
