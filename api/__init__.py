"""HTTP and WebSocket, in and out. No rules live here: a route reads, asks a room, and answers."""
