"""Kernel calls, one small function each. Standard library only; nothing here decides anything."""
