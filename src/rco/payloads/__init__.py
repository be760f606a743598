"""Large payloads of runs and events in the object store, by reference: kept, fetched, and collected when unused."""
