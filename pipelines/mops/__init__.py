"""Moving objects: where those whose orbits are known will be."""
