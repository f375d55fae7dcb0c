"""The commands: one file each, which parses and prints only; the work is `tenure.session.Session`'s."""
