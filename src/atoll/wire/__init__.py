"""What travels between processes: codec, headers, faults, schema, and the system as data."""
