"""The Engine API's client: transport, calls, streams. Standard library only, quick to import."""
