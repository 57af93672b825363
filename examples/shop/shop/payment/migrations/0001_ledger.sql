-- One line an order: the primary key is why nobody pays an order twice, whatever is tried again and by whom.
-- Lines are added and never changed.
CREATE TABLE ledger (
    order_id    text PRIMARY KEY,
    currency    text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    minor       bigint NOT NULL CHECK (minor > 0),
    card_ending text NOT NULL CHECK (card_ending ~ '^[0-9]{4}$'),
    charged_at  timestamptz NOT NULL DEFAULT now()
);
