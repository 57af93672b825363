"""What a system is: pure values, read once from the user's classes."""
