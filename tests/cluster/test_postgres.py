"""PostgreSQL inside the cluster answers large questions, as it does on a laptop."""

import pytest

from tests.cluster.shop import Shop

pytestmark = pytest.mark.timeout(600)

# 300,000 rows of 600 bytes: the hash table that the processes of the join share is 180 MB.
JOIN = """
CREATE UNLOGGED TABLE probe AS SELECT id, repeat(md5(id::text), 18) AS text FROM generate_series(1, 300000) AS id;
ANALYZE probe;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET work_mem = '128MB';
SET enable_mergejoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*), max(a.text || b.text) FROM probe AS a JOIN probe AS b USING (id);
SELECT count(*), max(a.text || b.text) FROM probe AS a JOIN probe AS b USING (id);
"""
ASK = "PGPASSWORD=$(cat /run/secrets/postgres/password) exec psql -h 127.0.0.1 -U postgres -v ON_ERROR_STOP=1 -At -f -"


def test_the_processes_of_a_large_join_share_more_memory_than_a_container_has_by_itself(shop: Shop) -> None:
    def asked(sql: str) -> str:
        command = ("exec", "-i", "postgres-0", "--", "sh", "-c", ASK)
        return shop.kubectl.run(*command, stdin=sql, within=200)

    try:
        said = asked(JOIN)
    finally:
        asked("DROP TABLE IF EXISTS probe")
    assert "Parallel Hash" in said
    assert "300000|" in said
