-- Passwords are kept as salted scrypt hashes only: see users/passwords.py.
CREATE TABLE users (
    id        uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name      text NOT NULL,
    email     text NOT NULL,
    password  text NOT NULL,
    joined_at timestamptz NOT NULL DEFAULT now()
);

-- Addresses differ in more than case for machines, not for people.
CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_joined ON users (joined_at DESC);
