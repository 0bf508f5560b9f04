"""Every request to the API is paid for from a budget that all replicas share."""
