"""Commands on containers, one a module."""
