"""What operators do with RSEs on CS3 storages: find out what a site can, tell Rucio of it, and keep that true."""
