"""S3's protocol: one method of the client per operation, and what an answer means.

`client` has the operations in groups: `reads`, `writes`, `deletions`, `listings`, `multipart`, `buckets`
and `subresources`. Every request passes `exchange`: sign, send, check the status, and the policy of `retry`
around that. `refusals` and `error_codes` say which exception an answer becomes, `pinned` what the answer to
a read must be. `xml` and `headers` translate: pages of listings, other answers, and request bodies are in
`xml_listings`, `xml_answers` and `xml_bodies`. `store` is what all clients of a filesystem share.

Imported by: `_fs`, `_read`, `_write`; their modules see the client and its models.
Imports: `_auth` to sign, `_http` to send, and the values below them.
Never imports: what a verb, a reader or a writer is.
"""
