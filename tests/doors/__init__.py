"""The doors held against their promises: strictness, bad input, bad days, and what the doctor says."""
