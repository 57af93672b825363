"""How a basket becomes an order."""
