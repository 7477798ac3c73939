"""Drills: every fault of the stand-ins against a live call, and what its caller heard of it."""
