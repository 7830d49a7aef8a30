# SPDX-License-Identifier: MIT
"""
The shape of results.json, and a check of it.

A description is a type, a tuple of alternatives, a list of one description (a list of
any length), or a dict: with names, exactly these fields; with the name `ANY`, any
names, each with this description.
"""

from __future__ import annotations

from typing import Any

FORMAT = "pyfaster-benchmarks"
VERSION = 1

ANY = "*"

NUMBER = (int, float)
TEXT_OR_NONE = (str, type(None))

MEASURED = {
    "rounds_ns": [NUMBER],
    "median_ns": NUMBER,
    "min_ns": NUMBER,
    "max_ns": NUMBER,
    "operations_per_second": NUMBER,
    "time_relative_to_pyfaster": (int, float, type(None)),
}

CASE = {
    "name": str,
    "workload": str,
    "distribution": str,
    "key_size": int,
    "value_size": int,
    "batch": int,
    "threads": int,
    "items": int,
    "operations_per_thread": int,
    "results": {ANY: (MEASURED, {"skipped": str})},
}

BAR = {
    "name": str,
    "what": str,
    "measured": NUMBER,
    "rounds": [NUMBER],
    "relation": str,
    "bound": NUMBER,
    "unit": str,
    "orientation": bool,
    "verdict": str,
}

REPORT: dict[str, Any] = {
    "format": str,
    "version": int,
    "generated_at": str,
    "smoke": bool,
    "settings": {ANY: (int, float, str, bool)},
    "machine": {
        "cpu_model": TEXT_OR_NONE,
        "cores": (int, type(None)),
        "kernel": str,
        "architecture": str,
        "memory_bytes": (int, type(None)),
        "transparent_huge_pages": TEXT_OR_NONE,
        "python": str,
        "python_compiler": str,
        "packages": {ANY: TEXT_OR_NONE},
        "sqlite": TEXT_OR_NONE,
        "byte_order": str,
    },
    "contenders": {"settings": {ANY: str}, "missing": {ANY: str}},
    "cases": [CASE],
    "bars": [BAR],
    "bars_missing": {ANY: str},
    "orientation": [{"name": str, "what": str, "unit": str, "figures": {ANY: object}}],
}


def flaws(value: object, description: Any = REPORT, place: str = "report") -> list[str]:
    """
    Say where a value differs from its description; nothing when it fits.
    """
    if isinstance(description, tuple):
        tried = [flaws(value, one, place) for one in description]
        if any(not found for found in tried):
            return []
        return [f"{place}: fits none of {len(tried)} forms: {tried[0][0]}"]
    if isinstance(description, list):
        return list_flaws(value, description[0], place)
    if isinstance(description, dict):
        return object_flaws(value, description, place)
    if description is object or type(value) is description:
        return []
    return [f"{place}: {value!r} is not of type {description.__name__}"]


def list_flaws(value: object, item: Any, place: str) -> list[str]:
    """
    Check each item of a list.
    """
    if not isinstance(value, list):
        return [f"{place}: {value!r} is not a list"]
    found: list[str] = []
    for at, one in enumerate(value):
        found += flaws(one, item, f"{place}[{at}]")
    return found


def object_flaws(value: object, fields: dict[str, Any], place: str) -> list[str]:
    """
    Check each field of an object.
    """
    if not isinstance(value, dict):
        return [f"{place}: {value!r} is not an object"]
    found: list[str] = []
    if ANY in fields:
        for name, one in value.items():
            found += flaws(one, fields[ANY], f"{place}.{name}")
        return found
    for name in fields.keys() - value.keys():
        found.append(f"{place}: there is no {name}")
    for name in value.keys() - fields.keys():
        found.append(f"{place}: {name} is unknown")
    for name in fields.keys() & value.keys():
        found += flaws(value[name], fields[name], f"{place}.{name}")
    return found
