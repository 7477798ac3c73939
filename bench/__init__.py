"""How many calls a core carries: callers, a stand-in model and a server between them, measured at the wire."""
