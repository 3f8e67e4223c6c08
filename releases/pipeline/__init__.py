"""What starts by itself: signed events of CI systems become releases where an environment asks for them."""
