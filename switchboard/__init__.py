"""Several processes on one machine as one server: who takes which call, and what they tell each other."""
