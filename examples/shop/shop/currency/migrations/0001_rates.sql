-- What one euro buys. A rate is an exact decimal, never a float. A real boutique would refresh them every day from its
-- bank; here they are part of the data, so that the same basket costs the same in every test.
CREATE TABLE rates (
    currency text PRIMARY KEY CHECK (currency ~ '^[A-Z]{3}$'),
    name     text NOT NULL,
    per_euro numeric(18, 8) NOT NULL CHECK (per_euro > 0)
);

INSERT INTO rates (currency, name, per_euro) VALUES
('CAD', 'Canadian dollar', 1.6205),
('CHF', 'Swiss franc', 0.9327),
('DKK', 'Danish krone', 7.4684),
('EUR', 'Euro', 1),
('GBP', 'Pound sterling', 0.8806),
('JPY', 'Japanese yen', 180.94),
('NOK', 'Norwegian krone', 11.7715),
('USD', 'United States dollar', 1.1573);
