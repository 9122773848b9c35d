"""What Tidings costs, measured beside Synapse on the same machine and interpreter."""
