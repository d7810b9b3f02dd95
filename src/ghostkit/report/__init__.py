"""Results as pages: one HTML file each, with everything inside, no script and no network."""
