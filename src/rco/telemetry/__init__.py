"""What can be observed: one catalogue, and exporters for metrics and logs."""
