"""Kubernetes' quantities as numbers."""

import re
from collections.abc import Mapping

_SUFFIXES: Mapping[str, int] = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "E": 10**18,
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
    "Ti": 1 << 40,
    "Pi": 1 << 50,
    "Ei": 1 << 60,
}


def memory_limit_of(memory: str, memory_limit: str) -> str:
    """The limit of who asks for so much: never less than that."""
    return memory if bytes_of(memory) > bytes_of(memory_limit) else memory_limit


def cpu_limit_of(cpu: str, cpu_limit: str) -> str:
    """As above."""
    return cpu if processors_of(cpu) > processors_of(cpu_limit) else cpu_limit


def processors_of(quantity: str) -> float:
    """Such as "250m", which is a quarter of one."""
    return float(quantity.removesuffix("m")) / (1_000 if quantity.endswith("m") else 1)


def bytes_of(quantity: str) -> int:
    """Such as "512Mi"."""
    found = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", quantity)
    assert found is not None
    return int(float(found[1]) * _SUFFIXES[found[2]])
