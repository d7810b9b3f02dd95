"""Weights that others have published: which there are, fetching and keeping them."""
