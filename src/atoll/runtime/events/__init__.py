"""Events: published from the outbox, kept in streams, handled once through the inbox."""
