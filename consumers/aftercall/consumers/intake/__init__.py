"""Where work comes from, and in what order."""
