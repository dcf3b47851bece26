"""Engines: one blocking call takes a batch of windows and returns a result for each."""
