"""Copies of everything that a server keeps, and a server made of one again."""
