"""The nouns: frozen, without I/O. A room that does something imports them; they import nothing that does."""
