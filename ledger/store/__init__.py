"""The only SQL: append under the write lock, read, verify."""

from ledger.store.ledger import Ledger

__all__ = ["Ledger"]
