"""One recipe per command: the only place where rooms meet."""
