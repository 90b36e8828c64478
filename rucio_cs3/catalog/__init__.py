"""The storage's namespace against Rucio's catalogue."""
