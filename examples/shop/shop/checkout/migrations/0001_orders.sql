-- An order carries the id of its basket: the primary key is why a basket can be ordered only once.
CREATE TABLE orders (
    id        text PRIMARY KEY,
    status    text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'declined', 'confirmed')),
    email     text NOT NULL,
    address   jsonb NOT NULL,
    lines     jsonb NOT NULL,
    total     jsonb NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX orders_placed ON orders (placed_at DESC);
