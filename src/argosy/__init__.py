"""Argosy: a Docker-compatible container engine and an ECS-compatible orchestrator for Linux."""

__version__ = "0.1.0"
