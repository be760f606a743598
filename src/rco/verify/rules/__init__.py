"""The nine rules, one file each."""
