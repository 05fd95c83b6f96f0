"""The screen: pages are pure text, the panel turns them into pixels."""
