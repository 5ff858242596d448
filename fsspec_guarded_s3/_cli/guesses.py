"""Commands and options that people know from `aws s3`, `s5cmd`, `rclone` and `mc`, and ours for them."""

from __future__ import annotations

COMMANDS_OF_OTHERS = {
    "copy": "cp",
    "copyto": "cp",
    "del": "rm",
    "delete": "rm",
    "dir": "ls",
    "download": "cp",
    "get": "cp",
    "head": "stat",
    "info": "stat",
    "link": "sign",
    "list": "ls",
    "lsf": "ls",
    "mirror": "sync",
    "mkdir": "mb",
    "move": "mv",
    "moveto": "mv",
    "pipe": "cp - URL",
    "presign": "sign",
    "purge": "rm -r",
    "put": "cp",
    "rcat": "cp - URL",
    "remove": "rm",
    "rmdir": "rb",
    "share": "sign",
    "size": "du",
    "upload": "cp",
}
_CREDENTIALS = (
    "credentials are not taken from the command line, where others could see them: set AWS_ACCESS_KEY_ID "
    "and AWS_SECRET_ACCESS_KEY, or use --profile"
)
_CONCURRENCY = "pass -o max_concurrency=NUMBER"
_BUNDLE = "pass -o ca_bundle=FILE, with the certificate that is to be trusted"
OPTIONS_OF_OTHERS = {
    "access-key": _CREDENTIALS,
    "acl": "the command line sets none: call fs.chmod, or pass ACL= to fs.put_file, in Python",
    "all": "pass -r for all that is below",
    "aws-access-key-id": _CREDENTIALS,
    "concurrency": _CONCURRENCY,
    "dryrun": "pass --dry-run",
    "endpoint": "pass --endpoint-url",
    "expire": "pass --expires",
    "expires-in": "pass --expires, like 10m",
    "force": "pass -r for a tree; nothing asks before it removes",
    "host": "pass --endpoint-url",
    "ignore-existing": "pass --if-absent: the store decides",
    "insecure": _BUNDLE,
    "key": _CREDENTIALS,
    "max-concurrent-requests": _CONCURRENCY,
    "no-clobber": "pass --if-absent: the store decides",
    "no-overwrite": "pass --if-absent: the store decides",
    "no-sign-request": "pass --anon",
    "no-verify-ssl": _BUNDLE,
    "part-size": "pass -o part_size=BYTES",
    "presign": "use the command sign",
    "recurse": "pass -r",
    "remove": "pass --delete",
    "request-payer": "pass -o requester_pays=true",
    "secret": _CREDENTIALS,
    "secret-key": _CREDENTIALS,
    "size-only": "pass --compare size",
    "checksum": "pass --compare etag",
    "sse": "the command line sets none: pass ServerSideEncryption= to fs.put_file, in Python",
    "summarize": "use the command du",
    "token": _CREDENTIALS,
    "transfers": _CONCURRENCY,
}
