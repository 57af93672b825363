"""Configuration, command line and readiness of PostgreSQL, NATS and Envoy, as plain values."""
