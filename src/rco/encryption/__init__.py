"""Encryption of payloads with a key for each namespace, so that erasing the key erases what it encrypted."""
