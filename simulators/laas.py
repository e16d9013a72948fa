"""LaaS, the log index: documents are posted to an index and never read back (contract 12)."""

from __future__ import annotations

import uuid

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.bodies import read_json
from simulators.front_door import ExternalSystem
from simulators.state import World


class Laas:
    """The index of the simulated systems."""

    def __init__(self, world: World) -> None:
        self._world = world

    def system(self) -> ExternalSystem:
        routes = [Route("/{index}/_doc", self._index, methods=["POST"])]
        return ExternalSystem("laas", "", routes, lambda _request: None)

    async def _index(self, request: Request) -> Response:
        index = request.path_params["index"]
        try:
            document = read_json(await request.body())
        except ValueError:
            document = None
        if not isinstance(document, dict):
            return JSONResponse({"error": "the document must be a JSON object", "status": 400}, 400)
        self._world.laas_documents.append({"index": index, "document": document})
        created = {"_index": index, "_id": uuid.uuid4().hex, "_version": 1, "result": "created"}
        return JSONResponse(created, 201)
