"""Who owns a batch's memory: memory that processes share, leases on it, and how much there is."""
