"""What every part agrees on: events, documents, outcomes, settings. Pure; imports nothing of ours."""
