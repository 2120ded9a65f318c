"""What the integration tests start, and what they talk to it with."""
