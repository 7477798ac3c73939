"""Backups of both kinds of database."""

from tests.databases import database_url

__all__ = ["database_url"]
