"""What is made of a call once it is over: its analysis, what it cost, and who is told."""
