"""The database: engine, schema and the base of every table. Knows no call."""
