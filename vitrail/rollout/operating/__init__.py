"""Keeping a model good: what the live figures say against it, who agrees to what, and how far a replacement is."""
