"""Objects: bytes that are too large for a row, kept by key in memory, in a folder or in a bucket. One door for all."""
