"""Outgoing HTTP of every kind."""
