"""Commands on the engine as a whole, one a module."""
