"""Answering requests: which model answers whom, what happens when one fails, and the server around it."""
