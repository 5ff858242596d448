"""The filesystem in event loops."""
