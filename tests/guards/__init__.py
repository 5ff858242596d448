"""What filesystems do when the store or the network misbehaves, side by side: `python -m tests.guards`."""
