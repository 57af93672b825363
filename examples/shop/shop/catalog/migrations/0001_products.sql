-- What the boutique sells. A price is a whole number of minor units (cents), never a float: see shop/money.py.
CREATE TABLE products (
    id          text PRIMARY KEY CHECK (id ~ '^[a-z0-9-]{2,60}$'),
    name        text NOT NULL,
    category    text NOT NULL CHECK (category IN ('kitchen', 'home', 'wear', 'paper', 'garden', 'play')),
    currency    text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    price       bigint NOT NULL CHECK (price > 0),
    shape       text NOT NULL,
    palette     text NOT NULL,
    pattern     text NOT NULL,
    description text NOT NULL,
    words       tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', name), 'A')
        || setweight(to_tsvector('english', category), 'B')
        || setweight(to_tsvector('english', description), 'C')
    ) STORED
);

CREATE INDEX products_category ON products (category, id);
CREATE INDEX products_words ON products USING gin (words);
