"""The engine: what containers, images, networks and volumes there are, and what becomes of them."""
