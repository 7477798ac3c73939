"""What is made of a call once it is over: analysis, what it cost, webhooks."""
