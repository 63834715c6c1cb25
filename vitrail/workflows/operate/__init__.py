"""`vitrail operate`: watch the version that serves, propose a replacement, and carry out what a person agreed to."""
