"""What a coding client calls while it works; it must be quick, quiet and need nothing."""
