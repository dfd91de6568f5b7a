"""`argosy manifest`: indexes of images for several platforms."""
