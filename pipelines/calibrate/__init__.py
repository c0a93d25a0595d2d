"""Master calibrations: how they are made, with their uncertainty, and compared with the ones before."""
