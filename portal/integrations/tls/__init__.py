"""TLS endpoints: the certificates that they show."""
