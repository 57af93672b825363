"""Three tiers, of which the bottom one fails, and a service beside them."""
