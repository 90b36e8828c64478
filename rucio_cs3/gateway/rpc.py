"""The way to every call: logged, struck by faults, let in by its token, and answered as Reva words it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from rucio_cs3 import observe
from rucio_cs3.gateway import lies, scopes
from rucio_cs3.gateway.service import METHODS, reference_of
from rucio_cs3.gateway.spaceservice import SPACE_METHODS
from rucio_cs3.gateway.status import Aborted, Refused, status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rucio_cs3.gateway.faults import Struck
    from rucio_cs3.gateway.namespace import Place
    from rucio_cs3.gateway.service import Method, Service
    from rucio_cs3.gateway.site import Site
    from rucio_cs3.gateway.users import User

API = "/cs3.gateway.v1beta1.GatewayAPI/"
TOKEN_KEY = "x-access-token"  # noqa: S105 - the only metadata that is looked at
OPEN = {"Authenticate", "GetAppPassword"}  # to who has no token yet
STREAMS = {"ListContainerStream", "ListRecycleStream"}
REFERENCES = ("ref", "source", "destination")


class Door(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc comes without types
    """Every method that is not in the table is UNIMPLEMENTED."""

    def __init__(self, site: Site, service: Service) -> None:
        self._site = site
        self._service = service
        self._methods = SPACE_METHODS if site.behaviour.has_spaces else METHODS

    def service(self, details: Any) -> Any:
        name = details.method[len(API) :] if details.method.startswith(API) else ""
        method = self._methods.get(name)
        if not method:
            return None
        codec = {
            "request_deserializer": method.request.FromString,
            "response_serializer": method.reply.SerializeToString,
        }
        if name in STREAMS:
            return grpc.unary_stream_rpc_method_handler(self._streamed(name, method), **codec)
        return grpc.unary_unary_rpc_method_handler(self._answered(name, method), **codec)

    def _answered(self, name: str, method: Method) -> Any:
        def answer(request: Any, context: Any) -> Any:
            return self._answer(name, method, request, context)

        return answer

    def _streamed(self, name: str, method: Method) -> Any:
        def answer(request: Any, context: Any) -> Iterator[Any]:
            yield self._answer(name, method, request, context)

        return answer

    def _answer(self, name: str, method: Method, request: Any, context: Any) -> Any:
        with observe.serving("gateway", name, context.invocation_metadata) as step:
            return self._replied(name, method, request, context, step)

    def _replied(self, name: str, method: Method, request: Any, context: Any, step: observe.Step) -> Any:
        path = self._path(request, context)
        self._site.calls.add("grpc", name, path)
        struck = self._site.faults.take("grpc", name, path)
        self._site.settle()
        try:
            user = self._caller(name, request, context, struck)
            lies.strike(self._target(name, request, user), struck)
            reply = method.call(self._service, request, user)
        except Refused as refused:
            step.told(refused.code)
            reply = method.reply(status=status(refused.code, refused.message))
        except Aborted as aborted:
            step.told(aborted.code)
            context.abort(grpc.StatusCode[aborted.code], aborted.message)
        else:
            reply.status.CopyFrom(status())
        if struck.get("no_answer"):
            context.abort(grpc.StatusCode.UNAVAILABLE, "fault: connection closed")
        return reply

    def _caller(self, name: str, request: Any, context: Any, struck: Struck) -> User | None:
        """Who calls; None where anybody may. That a token does not reach so far is not told from that it is bad."""
        if name in OPEN:
            return None
        token = dict(context.invocation_metadata()).get(TOKEN_KEY)
        if self._site.behaviour.has_spaces:
            return self._caller_in_status(name, request, token or "")
        if not token and not struck.get("token_not_found"):
            raise Aborted("UNAUTHENTICATED", "auth: core access token not found")
        who = self._site.tokens.identity(token or "")
        if not who or not scopes.may_call(who.scopes, name, request):
            lies.reject_token(name, struck)
        return who.user if who else None

    def _caller_in_status(self, name: str, request: Any, token: str) -> User | None:
        who = self._site.tokens.identity(token)
        if not who or not scopes.may_call(who.scopes, name, request):
            lies.reject_in_status(name, token)
        return who.user if who else None

    def _target(self, name: str, request: Any, user: User | None) -> lies.Target:
        references = [
            reference_of(request, field) for field in REFERENCES if field in request.DESCRIPTOR.fields_by_name
        ]
        by_id = any(reference and reference.HasField("resource_id") for reference in references)
        places = [place for reference in references for place in [self._place(reference, user)] if place]
        return lies.Target(name, by_id, places, self._site.storage)

    def _place(self, reference: Any, user: User | None) -> Place | None:
        try:
            return self._site.namespace.resolve(reference, user) if user else None
        except Refused:
            return None

    def _path(self, request: Any, context: Any) -> str:
        """What the call is about, for the log and for the faults' patterns: the CS3 path where there is one."""
        field = next((field for field in REFERENCES if field in request.DESCRIPTOR.fields_by_name), None)
        reference = reference_of(request, field) if field else None
        if reference is None:
            return ""
        user = self._site.tokens.user(dict(context.invocation_metadata()).get(TOKEN_KEY, ""))
        place = self._place(reference, user)
        return self._site.namespace.path(place) if place else str(reference.path)
