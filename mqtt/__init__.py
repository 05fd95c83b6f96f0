"""The broker: what is said to it (publisher, discovery, payload) and the one link it is said over (session, wire)."""
