"""What the pages of a release show: reads only, a constant number of queries each."""
