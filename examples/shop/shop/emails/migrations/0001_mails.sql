-- Every mail that was written. The order is deliberately not unique: if an event were ever handled twice,
-- this table would show it. That it is not is the business of the inbox, and the demo looks here to prove it.
CREATE TABLE mails (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   text NOT NULL,
    recipient  text NOT NULL,
    subject    text NOT NULL,
    file       text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX mails_order ON mails (order_id);
