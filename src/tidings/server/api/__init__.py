"""One file for each section of the spec, one function for each endpoint."""
