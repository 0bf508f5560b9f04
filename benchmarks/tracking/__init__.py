"""Thousands of live recordings under the real limits of the API: the delay of their events."""
