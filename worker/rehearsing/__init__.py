"""The same pass with nothing written: what it would do."""
