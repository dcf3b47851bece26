"""From window results to the transcript document and its renderings."""
