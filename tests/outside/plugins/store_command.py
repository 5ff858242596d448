"""Stands for the commands of stores that tests start: moto, at the address that they name.

It listens before it loads moto, which may take longer than a test waits for a connection.
"""

from __future__ import annotations

import argparse
import socket
from typing import Any


def main() -> None:
    """Serve until somebody ends it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="127.0.0.1:5000")
    parser.add_argument("-p", dest="port", default="")
    given, _ = parser.parse_known_args()
    host, _, port = given.address.rpartition(":")
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, int(given.port or port)))
    listening.listen(128)

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    moto = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"].startswith("/minio/health/"):  # MinIO's answer to whether it is there
            start_response("200 OK", [("Content-Length", "0")])
            return [b""]
        return moto(environ, start_response)

    place = listening.getsockname()
    make_server(place[0], place[1], application, threaded=True, fd=listening.fileno()).serve_forever()
