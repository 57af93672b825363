-- A parcel is packed before its order is paid, and leaves when it is; shipped_at is set once and stays.
CREATE TABLE parcels (
    order_id   text PRIMARY KEY,
    tracking   text NOT NULL,
    things     integer NOT NULL CHECK (things > 0),
    address    jsonb NOT NULL,
    email      text NOT NULL,
    packed_at  timestamptz NOT NULL DEFAULT now(),
    shipped_at timestamptz
);
