"""What goes to brokers and what comes from them: evidence out, events in. Both survive the death of either side."""
