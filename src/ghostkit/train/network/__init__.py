"""The networks, their weights by every known layout of names, and the card that goes with them."""
