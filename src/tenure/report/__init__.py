"""What people read: tables for terminals, and values made of the ledger for status."""
