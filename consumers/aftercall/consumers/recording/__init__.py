"""From a recording's address to windows of speech."""
