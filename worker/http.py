"""/metrics, /livez and /readyz, served in the worker's own loop.

Invariant: `/livez` says that the loop turns and nothing else. A database or AWS that is away never
fails it: a restart would forget what the keepers know of ends to come.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from worker.errors import CannotListen
from worker.metrics import Metrics

Unready = Callable[[], Sequence[str]]
"""Why no more work should be given to this worker now; empty when it is ready."""


@asynccontextmanager
async def serving(
    host: str, port: int, *, metrics: Metrics, unready: Unready
) -> AsyncIterator[int]:
    """Serves within; gives the port, which differs from `port` where that is 0. CannotListen."""
    runner = web.AppRunner(_application(metrics, unready), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise CannotListen(f"{host}:{port}: {error.strerror or error}") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _application(metrics: Metrics, unready: Unready) -> web.Application:
    async def livez(_request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def readyz(_request: web.Request) -> web.Response:
        reasons = list(unready())
        document = {"ready": not reasons, "reasons": reasons}
        return web.json_response(document, status=503 if reasons else 200)

    application = web.Application()
    application.router.add_get("/livez", livez)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", make_aiohttp_handler(metrics.registry))
    return application
