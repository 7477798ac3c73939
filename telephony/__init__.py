"""Everything that knows the word Twilio: the media stream's messages, TwiML, signatures, numbers and REST.

All of it is pure except `rest`: text, bytes and the time come in, values and text go out.
"""
