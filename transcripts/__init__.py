"""What a call is and what it leaves behind: its row, turns, events, recording, and a bot's own records."""
