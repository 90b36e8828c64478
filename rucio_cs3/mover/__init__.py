"""The mover: copies between sites for Rucio, asked by the same requests that Rucio sends to FTS3."""
