"""Tables and their stores. SQL lives here and nowhere else."""
