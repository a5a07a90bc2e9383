"""Makes AWS agree with the ledger, on time."""
