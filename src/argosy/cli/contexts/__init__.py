"""`argosy context`: the engines that the user has names for."""
