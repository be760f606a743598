"""Small tools with no product noun in them."""
