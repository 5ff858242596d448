"""A writer or reader is killed by SIGKILL while a request of its own is under way; nothing half is left.

The server kills, at a request and a point of it that a printed seed chose, so every kill hits in the middle.
GUARDED_S3_KILLS sets how many.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data import period_free
from tests.fake_s3 import FakeS3
from tests.file_systems import offers_nameless
from tests.opening import MIB, filesystem
from tests.scripted_server import Answer, Reply, Request, ScriptedServer, close, cut, eventually

OLD, NEW = period_free(7 * MIB, seed=1), period_free(12 * MIB, seed=2)
# Create, 3 parts, Complete; HEAD, 7 ranges; of each of two files: Create, 2 parts; then part 3 and Complete.
REQUESTS = {"open": 5, "put_file": 5, "get_file": 8, "transaction": 10}
COMMITTING = {"open": 5, "put_file": 5, "get_file": 8, "transaction": 7}  # the first request of the commit
SURELY_RESUMED = 1  # the round of the first put_file: killed between Create and Complete, it leaves an upload
KEYS = ("key", "key2")
CHILD = """
import json, signal, sys
from pathlib import Path
from tests.opening import MIB, filesystem
url, action, local = json.loads(sys.stdin.readline())
fs = filesystem(url, part_size=5 * MIB, multipart_threshold=5 * MIB, range_size=MIB)
if action == "open":
    with fs.open("bucket/key", "wb") as file:
        file.write(Path(local).read_bytes())
elif action == "transaction":
    with fs.transaction:
        for key in ("key", "key2"):
            with fs.open("bucket/" + key, "wb") as file:
                file.write(Path(local).read_bytes())
else:
    getattr(fs, action)(*((local, "bucket/key") if action == "put_file" else ("bucket/key", local)))
signal.pause()
"""


class Killer:
    """Hooks of a FakeS3 that kill the child at its request number `at`: before it, or after."""

    def __init__(self, child: subprocess.Popen[bytes], at: int, applied: bool) -> None:
        self.child, self.at, self.applied, self.seen = child, at, applied, 0

    def fault(self, request: Request, fake: FakeS3) -> Answer | None:
        with fake.lock:
            self.seen += 1
            return self._kill() if self.seen == self.at and not self.applied else None

    def after(self, request: Request, reply: Reply) -> Answer | None:
        if self.seen < self.at or not self.applied or self.child.returncode is not None:
            return None
        self._kill()
        return cut(reply.status, reply.body, after=len(reply.body) // 2, headers=reply.headers)

    def _kill(self) -> Answer:
        self.child.send_signal(signal.SIGKILL)
        return close()


@pytest.mark.timeout(600)  # every round starts an interpreter
def test_a_killed_process_leaves_nothing_half(tmp_path: Path) -> None:
    kills, seed = int(os.environ.get("GUARDED_S3_KILLS", "16")), random.randrange(2**32)
    dice, left, resumed, published = random.Random(seed), 0, 0, 0
    for round_number in range(kills):
        action = list(REQUESTS)[round_number % 4]
        first = COMMITTING[action] if dice.random() < 0.3 else 1
        at, applied = dice.randint(first, REQUESTS[action]), dice.random() < 0.5
        if round_number == SURELY_RESUMED:
            at = dice.randint(2, REQUESTS[action] - 1)
        print(f"seed {seed} kill {round_number}: {action} request {at} {'after' if applied else 'before'}")
        local = tmp_path / f"file-{round_number}"
        local.write_bytes(OLD if action == "get_file" else NEW)
        fake = FakeS3("bucket")
        for key in KEYS:
            fake.put("bucket", key, NEW if action == "get_file" else OLD)
        child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE)
        with ScriptedServer(handler=fake) as server, child:
            killer = Killer(child, at, applied)
            fake.fault, fake.after = killer.fault, killer.after
            try:
                child.communicate(json.dumps([server.url, action, str(local)]).encode(), timeout=60)
            finally:
                child.kill()
            fake.fault = fake.after = None
            assert child.returncode == -signal.SIGKILL and killer.seen >= at
            eventually(lambda server=server: server.open_connections == 0)
            assert local.read_bytes() in (OLD, NEW)
            if offers_nameless(tmp_path):
                assert {path.name for path in tmp_path.iterdir()} == {
                    f"file-{n}" for n in range(round_number + 1)
                }
            bodies = [fake.objects["bucket", key].body for key in KEYS]
            assert all(body in (OLD, NEW) for body in bodies)
            published += bodies.count(NEW) if action != "get_file" else 0
            fs = filesystem(server.url, part_size=5 * MIB, multipart_threshold=5 * MIB)
            uploads = fs.list_uploads("bucket")
            assert {row["upload_id"] for row in uploads} == set(fake.uploads)
            left += len(uploads)
            if action == "put_file" and uploads:
                fs.put_file(str(local), "bucket/key", resume=uploads[0]["upload_id"])
                assert fake.objects["bucket", "key"].body == NEW
                resumed += 1
            fs.abort_uploads("bucket", older_than=0)
            assert not fake.uploads and fs.list_uploads("bucket") == []
    print(f"{kills} kills: {left} uploads left, {resumed} resumed, {published} objects published")
    assert left and resumed
