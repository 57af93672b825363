"""What the boutique draws attention to."""
