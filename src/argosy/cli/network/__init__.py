"""Commands on networks, one a module."""
