-- Who set which price, and when.
CREATE TABLE price_changes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id text NOT NULL REFERENCES products (id),
    before     bigint NOT NULL,
    after      bigint NOT NULL,
    changed_by text NOT NULL CHECK (changed_by <> ''),
    changed_at timestamptz NOT NULL DEFAULT now()
);
