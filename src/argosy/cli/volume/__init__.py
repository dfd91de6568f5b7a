"""Commands on volumes, one a module."""
