"""S3's protocol: one method of the client per operation, and what an answer means.

`client` has the operations in groups: `reads`, `slices`, `writes`, `deletions`, `listings`, `multipart`,
`buckets`, `subresources` and `object_annotations`. Every request passes `exchange`: sign, send, check the
status. Around that are
`retry` (what passes by itself) and `corrections` (what a refusal teaches); `rates` says how many requests a
store gets that had too many. `refusals` and `error_codes` say
which exception an answer becomes. `pinned`, `checks` and `encryption` say what an answer must be. `xml` and
`headers` translate: `xml_listings` and `pages` for listings, `xml_answers`, `xml_bodies`,
`optional_headers`. `about_objects` knows when an answer about an object is the object itself. `generations`
says which generation of an object a condition means. `store` is what all
clients of a filesystem share, with `store_facts` and the sessions of `express`. `scheduler` makes many calls
in parallel, `early` sends one before its turn. Of each request `listeners` tell (`events`, `watched`), and a
`trace` sums that up.

Imported by: `_fs`, `_read`, `_write`; their modules see the client and its models.
Imports: `_auth` to sign, `_http` to send, and the values below them.
Never imports: what a verb, a reader or a writer is.
"""
