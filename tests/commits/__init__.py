"""Logs, pointers and tables of `integrations.commit`: under faults, under rivals, in many processes."""
