"""Commands on images, one a module."""
