"""Networks: addresses, bridges, published ports, the files a container resolves names by."""
