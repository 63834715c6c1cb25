"""Attention: what tokens of a ViT take from each other, and what that says about an answer."""
