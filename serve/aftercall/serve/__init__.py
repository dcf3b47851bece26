"""Speech: windows in, words out."""
