"""What is kept of people, for how long, and how all of it is erased or handed out."""
