"""The measurement: runs beside the GPU, in the container or on the host, and needs nothing else."""
