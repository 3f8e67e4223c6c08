"""The real helm program, which needs Go to be had; see `build`."""
