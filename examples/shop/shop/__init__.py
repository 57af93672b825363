"""Sandpiper, a boutique of small good things: the example that shows what a system on atoll looks like."""
