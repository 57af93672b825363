-- A basket is open until it is ordered; then only its row stays, so that a late "add" is refused instead of lost.
CREATE TABLE baskets (
    id         text PRIMARY KEY,
    used_at    timestamptz NOT NULL DEFAULT now(),
    ordered_at timestamptz
);

CREATE INDEX baskets_used ON baskets (used_at);

CREATE TABLE items (
    basket_id  text NOT NULL REFERENCES baskets ON DELETE CASCADE,
    product_id text NOT NULL,
    quantity   integer NOT NULL CHECK (quantity BETWEEN 1 AND 99),
    position   bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (basket_id, product_id)
);
