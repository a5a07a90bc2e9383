"""What is to be done in an account, from what should stand and what is recorded. Pure."""
