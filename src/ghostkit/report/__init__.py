"""Results as HTML pages: one self-contained file each, without scripts or external resources."""
