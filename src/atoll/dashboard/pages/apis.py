"""The interfaces of the system: OpenAPI of its HTTP, AsyncAPI of its events."""

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atoll.dashboard.site import Site
from atoll.wire.asyncapi import asyncapi
from atoll.wire.description import Description
from atoll.wire.openapi import openapi
from atoll.wire.schema import Schema


def routes(site: Site) -> list[Route]:
    def described() -> Description:
        found = site.sources.description()
        if found is None:
            raise HTTPException(503, "Nobody tells what is declared: the run does not answer.")
        return found

    def page(request: Request) -> Response:
        found = described()
        served = [
            (member, contract)
            for member in found.members
            for target in member.contracts
            if (contract := found.contract(target)) is not None
        ]
        handlers = [(member.name, each) for member in found.members for each in member.consumes]
        return site.page(request, "apis.html", description=found, served=served, handlers=handlers)

    def openapi_document(request: Request) -> Response:
        return _json(openapi(described(), "0", exposed_only=not request.query_params.get("all")))

    def asyncapi_document(request: Request) -> Response:  # noqa: ARG001
        return _json(asyncapi(described(), "0"))

    return [
        Route("/apis", page),
        Route("/apis/openapi.json", openapi_document),
        Route("/apis/asyncapi.json", asyncapi_document),
    ]


def _json(document: Schema) -> Response:
    return Response(msgspec.json.format(msgspec.json.encode(document)), media_type="application/json")
