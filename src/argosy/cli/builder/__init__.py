"""`argosy builder`: the build cache."""
