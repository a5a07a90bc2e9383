"""One pass over an account: each step asks AWS by the protocol, and records what it answered."""
