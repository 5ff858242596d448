"""`make aws` asks first, keeps within its limit and its prefix, and cleans up whatever happens."""

import io
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.real_stores import aws
from tests.real_stores.suites import ROOT
from tests.servers import MotoServer

COMMAND = [sys.executable, "-m", "tests.real_stores.aws"]


class Account:
    """moto, as if it were AWS: two buckets of somebody's, each with an object that must stay."""

    def __init__(self, server: MotoServer, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": server.key,
            "AWS_SECRET_ACCESS_KEY": server.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "PYTHONPATH": str(ROOT),
        }
        self.environment.pop("CI", None)
        self.client = boto3.client(
            "s3",
            endpoint_url=server.url,
            aws_access_key_id=server.key,
            aws_secret_access_key=server.secret,
            region_name="us-east-1",
        )
        self.names = [f"mine-{uuid.uuid4().hex[:8]}", f"versioned-{uuid.uuid4().hex[:8]}"]
        for name in self.names:
            self.client.create_bucket(Bucket=name)
        self.client.put_bucket_versioning(Bucket=self.names[1], VersioningConfiguration={"Status": "Enabled"})
        for name in self.names:
            self.client.put_object(Bucket=name, Key="mine", Body=b"1")

    def run(self, *words: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
        )
        return done.returncode, done.stdout

    def run_here(self, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
        """What ends before anything is counted, without a process of its own."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("CI", raising=False)
        monkeypatch.setattr(sys, "argv", [COMMAND[-1], *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        return aws.main()

    def buckets(self) -> tuple[str, ...]:
        return ("--bucket", self.names[0], "--versioned", self.names[1])

    def assert_untouched(self) -> None:
        for name in self.names:
            page: dict[str, Any] = self.client.list_object_versions(Bucket=name)
            rows = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            assert [row["Key"] for row in rows] == ["mine"]
            assert "Uploads" not in self.client.list_multipart_uploads(Bucket=name)


@pytest.fixture
def account(moto: MotoServer, tmp_path: Path) -> Account:
    return Account(moto, tmp_path)


def test_what_is_sent_ahead_is_counted_and_works(account: Account) -> None:
    """Many small reads of a near store are asked for before their turn, by another way to send."""
    code, printed = account.run(*account.buckets()[:2], "--yes", "--only", "slices, `cat_ranges`")
    assert code == 0, printed
    account.assert_untouched()


def test_the_checks_run_on_both_and_leave_nothing(account: Account) -> None:
    code, printed = account.run(*account.buckets(), "--yes", "--only", "versions")
    assert code == 0, printed
    assert "about $" in printed.partition("general purpose")[0]
    report = (account.folder / "store-report.md").read_text()
    assert "| | general purpose | versioned |" in report
    assert "| versions: read, listed, restored, removed | yes | yes |" in report
    assert not any(name in report for name in account.names)
    account.assert_untouched()


@pytest.mark.parametrize(
    ("only", "limit", "said"),
    [
        ("sizes of one part", ["--gib", "0.01"], "the limit of 20,000 writes or 10,737,418 bytes is reached"),
        ("create by a copy", ["--writes", "5"], "the limit of 5 writes or 5,368,709,120 bytes is reached"),
    ],
    ids=["bytes", "writes"],
)
def test_at_its_limit_it_stops_and_cleans_up(
    account: Account, only: str, limit: list[str], said: str
) -> None:
    code, printed = account.run(*account.buckets(), "--yes", "--only", only, *limit)
    assert said in printed
    assert code == 1, printed  # what it stopped in is wrong, and says why
    account.assert_untouched()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a bucket of yours"),
        (["--bucket", "mine", "--directory", "plain"], "directory bucket"),
        (["--bucket", "none-such-bucket", "--yes"], "NoSuchBucket"),
        (["--bucket", "none-such-bucket", "--clean", "photos"], "gs3-check-"),
    ],
)
def test_what_it_refuses(
    account: Account,
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert account.run_here(monkeypatch, *words) == 2
    printed = capsys.readouterr().out
    assert "nothing was done" in printed and said in printed


def test_ci_never_runs_it(account: Account) -> None:
    code, printed = account.run(*account.buckets(), "--yes", CI="true")
    assert code == 2
    assert "never run by CI" in printed


def test_it_asks_before_it_writes(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert account.run_here(monkeypatch, "--bucket", account.names[0]) == 2
    printed = capsys.readouterr().out
    assert "This writes below s3://" in printed and "nobody to ask" in printed
    account.assert_untouched()


def test_a_bucket_without_versions_is_not_taken_for_one(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = account.names[0]
    assert account.run_here(monkeypatch, "--bucket", plain, "--versioned", plain, "--yes") == 2
    assert "has no versions" in capsys.readouterr().out


def test_what_a_killed_run_left_is_removed_by_its_prefix(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = "gs3-check-01234567"
    for name in account.names:
        account.client.put_object(Bucket=name, Key=f"{prefix}/a/b", Body=b"1")
        account.client.create_multipart_upload(Bucket=name, Key=f"{prefix}/c")
    assert account.run_here(monkeypatch, *account.buckets(), "--clean", prefix) == 0
    account.assert_untouched()
