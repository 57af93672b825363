"""What each customer has put into the basket."""
