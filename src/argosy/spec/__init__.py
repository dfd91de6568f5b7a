"""Data shapes that cross a boundary. No behaviour."""
