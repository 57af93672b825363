-- Two mails an order from now on: that it is confirmed, and that it has left. Neither is unique, as before.
ALTER TABLE mails ADD COLUMN kind text NOT NULL DEFAULT 'confirmed' CHECK (kind IN ('confirmed', 'shipped'));
