"""The command line: prints, reads, and asks `client/` for everything else."""
