"""The two far ends of the wire: a Gemini Live server and a Twilio that calls us. Imports no other of our rooms."""
