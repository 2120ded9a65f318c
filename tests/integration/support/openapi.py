"""The admin interface's description, and answers held against it."""

import json
import re

import jsonschema

from .stack import REPOSITORY

DOCUMENT = json.loads((REPOSITORY / "docs/openapi.json").read_text())
RESOLVER = jsonschema.RefResolver.from_schema(DOCUMENT)
OPERATIONS = {
    (method.upper(), path): operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
# What is answered where there is no operation: no path, no method, no token, no name of ours.
ELSEWHERE = {400, 401, 403, 404, 405, 413, 414, 421, 429, 431}


def _pattern(path):
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + r"\Z")


_PATTERNS = [(method, path, _pattern(path)) for method, path in OPERATIONS]


def find(method, target):
    """The operation that a request is for, with its path; None when there is none."""
    path = target.partition("?")[0]
    exact = OPERATIONS.get((method, path))
    if exact is not None:
        return path, exact
    for known_method, known_path, pattern in _PATTERNS:
        if known_method == method and pattern.match(path):
            return known_path, OPERATIONS[known_method, known_path]
    return None


def resolve(item):
    return RESOLVER.resolve(item["$ref"])[1] if "$ref" in item else item


def validate(schema, value):
    jsonschema.Draft202012Validator(schema, resolver=RESOLVER).validate(value)


def hold(method, target, status, media_type, body):
    """The answer is one that the description tells."""
    found = find(method, target)
    if found is None:
        assert status in ELSEWHERE, f"{method} {target}: {status} of no operation"
        return
    path, operation = found
    told = operation["responses"].get(str(status))
    if told is None and status in (400, 414, 431):
        return  # no HTTP request, or none that fits
    assert told is not None, f"{method} {path}: {status} is not told: {body}"
    content = resolve(told).get("content", {})
    kind = media_type.partition(";")[0]
    assert kind in content, f"{method} {path}: {status} with {kind}"
    if kind == "application/json":
        try:
            validate(content[kind]["schema"], body)
        except jsonschema.ValidationError as error:
            raise AssertionError(f"{method} {path}: {status}: {error.message}\n{body}") from None
