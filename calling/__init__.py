"""Calls that we place: whether they may be, how each is dialled once and only once, and what Twilio says of them."""
