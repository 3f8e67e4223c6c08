"""What goes out, where and how."""
