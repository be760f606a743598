"""PostgreSQL databases of the users' own: steps that commit with their rows, and outboxes that are read from them."""
