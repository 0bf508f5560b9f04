"""Thousands of live recordings under the real limits of the API: how late their events come."""
