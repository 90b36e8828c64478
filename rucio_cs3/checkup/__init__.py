"""What `rucio-cs3 rse check` finds out about an RSE, or a plain site: see `table` for the checks, one module a noun."""
