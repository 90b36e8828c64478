"""What the web services of this package share: the broker and the mover."""
