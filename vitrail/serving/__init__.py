"""Answering requests: several models behind one address."""
