"""What `argosy build` is made of."""
