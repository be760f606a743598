"""The soak: a service under the mixed load for as long as is asked, and whether what it holds stays bounded."""
