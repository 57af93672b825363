"""Three tiers over a bank of somebody else's, and a service beside them."""
