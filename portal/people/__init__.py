"""Users, teams and roles; sign-in, access tokens and preferences."""
