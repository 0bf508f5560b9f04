"""Thousands of live recordings under the API's real limits: what is heard of them, and how late."""
