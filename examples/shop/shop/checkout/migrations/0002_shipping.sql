-- What the parcel costs. Orders of the time before this were sent for nothing.
ALTER TABLE orders ADD COLUMN shipping jsonb;
UPDATE orders SET shipping = jsonb_build_object('currency', total -> 'currency', 'minor', 0);
ALTER TABLE orders ALTER COLUMN shipping SET NOT NULL;
