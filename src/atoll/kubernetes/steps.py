"""What a builder says that it does, line by line."""

import re

# #8 [packages 2/4] RUN pip install …, of BuildKit; Step 3/9 : RUN …, of older ones; STEP 3/9: RUN …, of buildah
_STEPS = (
    re.compile(r"#\d+ \[(?P<place>(?!internal)[^\]]+)\] (?P<what>\S.*)"),
    re.compile(r"(?:\[\S+\] )?STEP (?P<place>\d+(?:/\d+)?) ?: (?P<what>\S.*)", re.IGNORECASE),
)


def step_of(line: str) -> str:
    """Such as "2/4 RUN pip install …"; "" if the line begins no step."""
    for pattern in _STEPS:
        if found := pattern.match(line):
            return f"{found['place']} {found['what']}"
    return ""
