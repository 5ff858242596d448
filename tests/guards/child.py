"""The acting process: `python -m tests.guards.child TITLE PEER URL FOLDER` writes FOLDER/said.json."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.guards.peers import OURS, Peer
from tests.guards.run import SAID, find
from tests.guards.scenario import Client, name_of


def main() -> None:
    title, peer, url, folder = sys.argv[1:]
    scenario = find(title)
    extra = scenario.extra if peer == OURS else {}
    client = Client(Peer.open(peer, url, extra), url, Path(folder))
    client.local.parent.mkdir()
    began = time.monotonic()
    try:
        said, detail = scenario.act(client), ""
    except Exception as error:
        said, detail = name_of(error), f"{type(error).__name__}: {error}"
    row = {"said": said, "detail": detail, "seconds": time.monotonic() - began}
    (Path(folder) / SAID).write_text(json.dumps(row))


if __name__ == "__main__":
    main()
