"""Inside one service process: calls in and out, events, database, telemetry."""
