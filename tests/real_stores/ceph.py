"""One Ceph monitor, one OSD in memory and one RADOS gateway, all on loopback and in the foreground."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import uuid
from pathlib import Path

from tests.real_stores.building import run
from tests.real_stores.starting import Launch, Seat, launch
from tests.servers import START_TIMEOUT, ServerDidNotStart

CONFIG = """[global]
fsid = {fsid}
run_dir = {folder}
admin_socket = {folder}/$name.asok
pid_file = {folder}/$name.pid
log_file = {folder}/$name.log
keyring = {folder}/keyring
mon_host = v2:127.0.0.1:{mon}/0
public_addr = 127.0.0.1
ms_bind_msgr1 = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
osd_crush_chooseleaf_type = 0
[mon]
mon_data = {folder}/mon
mon_cluster_log_file = {folder}/cluster.log
mon_data_avail_crit = 1
mon_data_avail_warn = 2
[osd]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_class_dir = {classes}
osd_class_default_list = *
osd_class_load_list = *
[client.rgw.x]
rgw_data = {folder}/rgw
rgw_frontends = beast {endpoint}
"""
CAPS = {
    "mon.": ("allow *", ""),
    "client.admin": ("allow *", "allow *"),
    "osd.0": ("allow profile osd", "allow *"),
    "client.rgw.x": ("allow rw", "allow rwx"),
}


def start(seat: Seat, stack: contextlib.ExitStack) -> None:
    """Run the three, and make the user whose keys the seat has."""
    folder, config, keyring = seat.folder, seat.folder / "ceph.conf", seat.folder / "keyring"
    for name in ("mon", "osd", "rgw"):
        seat.made(name)
    fsid, monitor = str(uuid.uuid4()), f"127.0.0.1:{seat.port(1)}"
    config.write_text(_config(seat, fsid))
    for number, (name, (mon, osd)) in enumerate(CAPS.items()):
        caps = ["--cap", "mon", mon, *(["--cap", "osd", osd] if osd else [])]
        made = ["--create-keyring"] if number == 0 else []
        run(["ceph-authtool", *made, str(keyring), "--gen-key", "-n", name, *caps], folder)
    monitors = str(folder / "monmap")
    run(
        ["monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "x", f"[v2:{monitor}]", monitors],
        folder,
    )
    conf = ["-c", str(config)]
    run(
        ["ceph-mon", "--mkfs", *conf, "-i", "x", "--monmap", monitors, "--keyring", str(keyring)],
        folder,
    )
    launch(stack, Launch(["ceph-mon", "-f", *conf, "-i", "x"]))
    osd = str(uuid.uuid4())
    run(["ceph", *conf, "--connect-timeout", "60", "osd", "new", osd], folder)
    run(["ceph-osd", *conf, "-i", "0", "--mkfs", "--osd-uuid", osd], folder)
    launch(stack, Launch(["ceph-osd", "-f", *conf, "-i", "0"]))
    _wait_for_osd(conf)
    gateway = ["radosgw", "-f", *conf, "-n", "client.rgw.x", "--keyring", str(keyring)]
    scheme = "https" if seat.certificate else "http"
    launch(stack, Launch(gateway, url=f"{scheme}://127.0.0.1:{seat.port()}"))
    user = ["--uid", "test", "--display-name", "test", "--max-buckets", "0"]
    keys = ["--access-key", seat.key, "--secret-key", seat.secret]
    run(["radosgw-admin", *conf, "user", "create", *user, *keys], folder)


def _config(seat: Seat, fsid: str) -> str:
    endpoint = f"endpoint=127.0.0.1:{seat.port()}"
    if seat.certificate:
        both = seat.file("rgw.pem", seat.certificate.key.read_text() + seat.certificate.chain.read_text())
        endpoint = f"ssl_endpoint=127.0.0.1:{seat.port()} ssl_certificate={both}"
    classes = next(Path("/usr/lib").glob("*/rados-classes"), Path("/usr/lib/rados-classes"))
    return CONFIG.format(folder=seat.folder, fsid=fsid, mon=seat.port(1), endpoint=endpoint, classes=classes)


def _wait_for_osd(conf: list[str]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        asked = subprocess.run(
            ["ceph", *conf, "osd", "stat", "-f", "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        if asked.returncode == 0 and json.loads(asked.stdout).get("num_up_osds") == 1:
            return
        time.sleep(0.3)
    raise ServerDidNotStart("the OSD of Ceph did not come up")
