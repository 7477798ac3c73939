"""What each thing that makes a call cheap is worth: the shipped server, and the same without it."""
