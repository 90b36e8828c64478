"""A Rucio policy package for tests: the generic policy, but a file may have any name that a file can have."""
