"""The web page on which a system is seen at work."""
