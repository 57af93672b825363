import pytest

from atoll.kubernetes.patterns import is_matched, patterns_of


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("notes", "notes", True),
        ("notes", "notes/old/a.txt", True),
        ("notes", "own/notes", False),
        ("/notes/", "notes/a", True),
        ("**/notes", "notes", True),
        ("**/notes", "a/b/notes/c", True),
        ("*.key", "a.key", True),
        ("*.key", "a/b.key", False),
        ("a/*/c", "a/b/c", True),
        ("a/**/c", "a/c", True),
        ("a/**", "a/b/c", True),
        ("a?.txt", "ab.txt", True),
        ("a?.txt", "a/.txt", False),
        ("[a-c].txt", "b.txt", True),
        ("[^a-c].txt", "b.txt", False),
        ("[^a-c].txt", "d.txt", True),
        (r"\*.txt", "*.txt", True),
        (r"\*.txt", "a.txt", False),
        ("a.txt", "abtxt", False),
        ("a[", "a[", True),
    ],
)
def test_a_pattern_means_what_it_means_to_docker(pattern: str, path: str, fits: bool) -> None:
    assert is_matched(path, [pattern]) is fits


def test_the_last_pattern_that_fits_decides() -> None:
    patterns = patterns_of("# what is not needed\n\nkeys\n!keys/public.pem\nkeys/*.old\n")
    assert is_matched("keys/private.pem", patterns)
    assert not is_matched("keys/public.pem", patterns)
    assert is_matched("keys/public.old", ["keys", "!keys/public.old", "keys/*.old"])
    assert not is_matched("# what is not needed", patterns)
