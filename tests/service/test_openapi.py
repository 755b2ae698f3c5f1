"""The service keeps to its OpenAPI document, whatever it is sent (schemathesis)."""

from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from a_service import Served

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ENDLESS = "/v1/events"


@schemathesis.serializer("multipart/related")
def _as_it_is(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def document(served: Served, films: list[bytes]) -> Any:
    served.judged(films[0])
    return schemathesis.openapi.from_dict(served.json("/openapi.json"))


def test_every_route_keeps_to_the_document(document: Any, served: Served) -> None:
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) >= 28

    def check(case: Any) -> None:
        answer = case.call(base_url=served.url)
        case.validate_response(answer, checks=CHECKS)

    for operation in operations:
        if operation.path != ENDLESS:
            quick = settings(max_examples=4, database=None, derandomize=True, deadline=None)
            quick(given(operation.as_strategy())(check))()
    assert served.get("/readyz").status_code == 200


def test_the_document_tells_every_route(served: Served) -> None:
    document = served.json("/openapi.json")
    assert document["openapi"].startswith("3.")
    paths = set(document["paths"])
    assert {"/v1/films", "/v1/films/{film}", "/v1/corrections/export", "/v1/events"} <= paths
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            assert "application/problem+json" in operation["responses"]["default"]["content"]
            assert "422" not in operation["responses"]
    assert "Problem" in document["components"]["schemas"]


def test_known_films_are_answered_as_the_document_says(served: Served, document: Any) -> None:
    film = served.json("/v1/films?limit=1")["films"][0]["id"]
    job = served.json(f"/v1/films/{film}")["job"]
    study = served.json(f"/v1/films/{film}")["study"]
    known = {"film": film, "job": job, "study": study}
    asked = 0
    for found in document.get_all_operations():
        operation = found.ok()
        names = {parameter.name for parameter in operation.path_parameters}
        if operation.method.upper() != "GET" or not names or not names <= known.keys():
            continue
        case = operation.Case(path_parameters={name: known[name] for name in names})
        answer = case.call(base_url=served.url)
        case.validate_response(answer, checks=CHECKS)
        assert answer.status_code == (409 if operation.path.endswith("/lungs") else 200)
        asked += 1
    assert asked == 11
