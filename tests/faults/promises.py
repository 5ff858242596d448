"""The promises: one table per group of requests, a row per fault, a column per kind of request.

An entry is `first / all`: the outcome when the fault hits the first such request, and when it hits all of
them; one word when both are alike. `ok`: the call succeeds, with the right result and the right bytes.
Otherwise the exception, by the names of `table.OUTCOMES`. `A,B`: either. `A?`: the exception says
`maybe_applied`. `-`: cannot occur there. `operations` says which requests of which calls a column is for.

The promises follow from what S3 does and from what can be proved, not from the code.
"""

from __future__ import annotations

FAULTS: dict[str, str] = {
    "lost-before": "the connection is closed before the request is applied",
    "lost-after": "the request is applied, then the connection is closed without an answer",
    "cut": "the request is applied, and the connection is closed in the middle of the answer",
    "stall": "the request is applied, and no answer ever comes",
    "stall-body": "the request is applied, and the answer stops in its middle for ever",
    "trickle": "the request is applied, and the answer comes one byte at a time, so no single read times out",
    "500-before": "500 InternalError, and the request is not applied",
    "500-after": "500 InternalError, although the request is applied",
    "slow-down": "503 SlowDown, and the request is not applied",
    "slow-after": "503 SlowDown, although the request is applied",
    "409": "409 ConditionalRequestConflict, and the request is not applied",
    "412": "412 PreconditionFailed, and the request is not applied",
    "200-error": "status 200 with an `<Error>` document (InternalError) and without an ETag, not applied",
    "wrong-etag": "a good answer that names another ETag",
    "short": "a good answer whose body (or, for HEAD, whose Content-Length) is too short; half a document",
    "long": "a good answer whose body (or, for HEAD, whose Content-Length) is too long",
    "range-ignored": "status 200 with the whole object where a range was asked for",
    "expired-400": "400 ExpiredToken",
    "expired-403": "403 ExpiredToken",
    "skew": "403 RequestTimeTooSkewed; the Date of the answer is right",
    "idle": "the connection is closed without a word while it waits in the pool",
    "refused": "the connection is refused",
    "dns": "the name of the store cannot be resolved",
    "tls": "the certificate of the store is not trusted",
}

READS = """
fault         | stat         | look         | list
lost-before   | ok / Lost    | ok / Lost    | ok / Lost
lost-after    | ok / Lost    | ok / Lost    | ok / Lost
cut           | ok / Lost    | ok / Lost    | ok / Lost
stall         | ok / Timeout | ok / Timeout | ok / Timeout
stall-body    | ok / Timeout | ok / Timeout | ok / Timeout
trickle       | ok / Timeout | ok / Timeout | ok / Timeout
500-before    | ok / Server  | ok / Server  | ok / Server
500-after     | ok / Server  | ok / Server  | ok / Server
slow-down     | ok / Server  | ok / Server  | ok / Throttled
slow-after    | ok / Server  | ok / Server  | ok / Throttled
409           | Invalid      | ok           | Conflict
412           | Failed       | Failed       | Failed
200-error     | -            | -            | ok / Protocol,Server
wrong-etag    | -            | -            | -
short         | -            | -            | ok / Protocol
long          | -            | -            | -
range-ignored | -            | -            | -
expired-400   | Invalid      | ok           | Denied
expired-403   | Denied       | ok           | Denied
skew          | ok / Denied  | ok           | ok / Denied
"""

PINS = """
fault         | pin              | file pin                               | source
lost-before   | ok / Lost        | ok / Lost                              | ok / Lost
lost-after    | ok / Lost        | ok / Lost                              | ok / Lost
cut           | ok / Lost        | ok / Lost                              | ok / Lost
stall         | ok / Timeout     | ok / Timeout                           | ok / Timeout
stall-body    | ok / Timeout     | ok / Timeout                           | ok / Timeout
trickle       | ok / Timeout     | ok / Timeout                           | ok / Timeout
500-before    | ok / Server      | ok / Server                            | ok / Server
500-after     | ok / Server      | ok / Server                            | ok / Server
slow-down     | ok / Server      | ok / Server                            | ok / Server
slow-after    | ok / Server      | ok / Server                            | ok / Server
409           | Invalid          | Invalid                                | Invalid
412           | Failed           | Failed,ok / Failed                     | Failed
200-error     | -                | -                                      | -
wrong-etag    | Changed          | ok / Changed                           | Changed
short         | Protocol,Changed | ok,Protocol,Sum / Protocol,Changed,Sum | -
long          | Protocol,Range   | ok,Protocol,Range / Protocol,Range     | -
range-ignored | -                | -                                      | -
expired-400   | Invalid          | Invalid                                | Invalid
expired-403   | Denied           | Denied                                 | Denied
skew          | ok / Denied      | ok / Denied                            | ok / Denied
"""

OPENINGS = """
fault         | opening
lost-before   | ok / Lost
lost-after    | ok / Lost
cut           | ok / Lost
stall         | ok / Timeout
stall-body    | ok / Timeout
trickle       | ok / Timeout
500-before    | ok / Server
500-after     | ok / Server
slow-down     | ok / Throttled
slow-after    | ok / Throttled
409           | Conflict
412           | Failed
200-error     | ok / Protocol
wrong-etag    | ok
short         | ok / Protocol
long          | ok / Protocol
range-ignored | ok
expired-400   | Denied
expired-403   | Denied
skew          | ok / Denied
"""

BODIES = """
fault         | whole          | first                          | range              | file range
lost-before   | ok / Lost      | ok / Lost                      | ok / Lost          | ok / Lost
lost-after    | ok / Lost      | ok / Lost                      | ok / Lost          | ok / Lost
cut           | ok / Lost      | ok                             | ok / Lost          | ok / Lost
stall         | ok / Timeout   | ok / Timeout                   | ok / Timeout       | ok / Timeout
stall-body    | ok / Timeout   | ok                             | ok / Timeout       | ok / Timeout
trickle       | ok / Timeout   | ok / ok,Timeout                | ok / Timeout       | ok / Timeout
500-before    | ok / Server    | ok / Server                    | ok / Server        | ok / Server
500-after     | ok / Server    | ok / Server                    | ok / Server        | ok / Server
slow-down     | ok / Throttled | ok / Throttled                 | ok / Throttled     | ok / Throttled
slow-after    | ok / Throttled | ok / Throttled                 | ok / Throttled     | ok / Throttled
409           | Conflict       | Conflict                       | Conflict           | Conflict
412           | Failed         | Failed                         | Changed            | ok / Changed
200-error     | Unsupported    | Unsupported                    | Unsupported        | Unsupported
wrong-etag    | ok             | Changed                        | Changed            | ok / Changed
short         | ok,Sum / Sum   | ok,Sum,Protocol / Sum,Protocol | ok / Protocol,Lost | ok / Protocol,Lost
long          | ok,Sum / Sum   | ok,Sum,Protocol / Sum,Protocol | ok / Protocol      | ok / Protocol
range-ignored | -              | -                              | ok / Protocol      | ok / Protocol
expired-400   | Denied         | Denied                         | Denied             | Denied
expired-403   | Denied         | Denied                         | Denied             | Denied
skew          | ok / Denied    | ok / Denied                    | ok / Denied        | ok / Denied
"""

SLICES = """
fault         | slice           | first slice     | file first
lost-before   | ok / Lost       | ok / Lost       | ok / Lost
lost-after    | ok / Lost       | ok / Lost       | ok / Lost
cut           | ok / Lost       | ok              | ok
stall         | ok / Timeout    | ok / Timeout    | ok / Timeout
stall-body    | ok / Timeout    | ok / Timeout    | ok
trickle       | ok / ok,Timeout | ok / ok,Timeout | ok / ok,Timeout
500-before    | ok / Server     | ok / Server     | ok / Server
500-after     | ok / Server     | ok / Server     | ok / Server
slow-down     | ok / Throttled  | ok / Throttled  | ok / Throttled
slow-after    | ok / Throttled  | ok / Throttled  | ok / Throttled
409           | Conflict        | Conflict        | Conflict
412           | Failed          | Failed          | ok / Failed
200-error     | ok / Protocol   | ok / Protocol   | Unsupported
wrong-etag    | ok              | Changed         | ok / Changed
short         | ok / Protocol   | ok / Protocol   | ok,Sum,Protocol / Sum,Protocol
long          | ok / Protocol   | ok / Protocol   | ok,Sum,Protocol / Sum,Protocol
range-ignored | ok / Protocol   | ok / Protocol   | -
expired-400   | Denied          | Denied          | Denied
expired-403   | Denied          | Denied          | Denied
skew          | ok / Denied     | ok / Denied     | ok / Denied
"""

LOADING = """
fault         | load                           | load first
lost-before   | ok / Lost                      | ok / Lost
lost-after    | ok / Lost                      | ok / Lost
cut           | ok / Lost                      | ok
stall         | ok / Timeout                   | ok / Timeout
stall-body    | ok / Timeout                   | ok
trickle       | ok / ok,Timeout                | ok / ok,Timeout
500-before    | ok / Server                    | ok / Server
500-after     | ok / Server                    | ok / Server
slow-down     | ok / Throttled                 | ok / Throttled
slow-after    | ok / Throttled                 | ok / Throttled
409           | Conflict                       | Conflict
412           | ok / Failed                    | ok / Failed
200-error     | Unsupported                    | Unsupported
wrong-etag    | Changed                        | ok / Changed
short         | ok,Sum,Protocol / Sum,Protocol | ok,Sum,Protocol / Sum,Protocol
long          | ok,Sum,Protocol / Sum,Protocol | ok,Sum,Protocol,Range / Sum,Protocol,Range
range-ignored | -                              | -
expired-400   | Denied                         | Denied
expired-403   | Denied                         | Denied
skew          | ok / Denied                    | ok / Denied
"""

WRITES = """
fault         | plain         | create        | swap          | update
lost-before   | ok / Unknown  | ok / Unknown  | ok / Unknown  | ok / Unknown
lost-after    | ok            | ok            | ok            | ok
cut           | ok            | ok            | ok            | ok
stall         | ok            | ok            | ok            | ok
stall-body    | ok            | ok            | ok            | ok
trickle       | ok            | ok            | ok            | ok
500-before    | ok / Unknown  | ok / Unknown  | ok / Unknown  | ok / Unknown
500-after     | ok            | ok            | ok            | ok
slow-down     | ok / Unknown  | ok / Unknown  | ok / Unknown  | ok / Unknown
slow-after    | ok            | ok            | ok            | ok
409           | ok / Conflict | ok / Conflict | ok / Conflict | ok / Conflict
412           | Failed        | Exists        | Changed       | ok / Changed
200-error     | ok / Unknown  | ok / Unknown  | ok / Unknown  | ok / Unknown
wrong-etag    | ok            | ok            | ok            | ok
short         | -             | -             | -             | -
long          | -             | -             | -             | -
range-ignored | -             | -             | -             | -
expired-400   | Denied        | Denied        | Denied        | Denied
expired-403   | Denied        | Denied        | Denied        | Denied
skew          | ok / Denied   | ok / Denied   | ok / Denied   | ok / Denied
"""

UPLOADS = """
fault         | start                | part                 | part copy
lost-before   | ok / Lost            | ok / Lost            | ok / Lost
lost-after    | ok / Lost            | ok / Lost            | ok / Lost
cut           | ok / Lost            | ok / Lost            | ok / Lost
stall         | ok / Timeout         | ok / Timeout         | ok / Timeout
stall-body    | ok / Timeout         | ok / Timeout         | ok / Timeout
trickle       | ok / Timeout         | ok / Timeout         | Timeout
500-before    | ok / Server          | ok / Server          | ok / Server
500-after     | ok / Server          | ok / Server          | ok / Server
slow-down     | ok / Throttled       | ok / Throttled       | ok / Throttled
slow-after    | ok / Throttled       | ok / Throttled       | ok / Throttled
409           | Conflict             | Conflict             | ok,Conflict / Conflict
412           | Failed               | Failed               | Changed
200-error     | ok / Protocol,Server | ok / Protocol,Server | ok / Server
wrong-etag    | -                    | Invalid              | Invalid
short         | ok / Protocol        | -                    | ok / ok,Protocol
long          | -                    | -                    | -
range-ignored | -                    | -                    | -
expired-400   | Denied               | Denied               | Denied
expired-403   | Denied               | Denied               | Denied
skew          | ok / Denied          | ok / Denied          | ok / Denied
"""

COMPLETIONS = """
fault         | complete       | complete create | complete swap  | complete resumed
lost-before   | ok / Lost      | ok / Lost       | ok / Lost      | ok / Unknown
lost-after    | ok             | ok              | ok             | ok
cut           | ok             | ok              | ok             | ok
stall         | ok             | ok              | ok             | ok
stall-body    | ok             | ok              | ok             | ok
trickle       | ok             | ok              | ok             | ok
500-before    | ok / Server    | ok / Server     | ok / Server    | ok / Unknown
500-after     | ok             | ok              | ok             | ok
slow-down     | ok / Throttled | ok / Throttled  | ok / Throttled | ok / Unknown
slow-after    | ok             | ok              | ok             | ok
409           | ok / Conflict  | ok / Conflict   | ok / Conflict  | ok / -
412           | Failed         | Exists          | Changed        | -
200-error     | ok / Server    | ok / Server     | ok / Server    | ok / Unknown
wrong-etag    | ok             | ok              | ok             | ok
short         | ok             | ok              | ok             | ok
long          | -              | -               | -              | -
range-ignored | -              | -               | -              | -
expired-400   | Denied         | Denied          | Denied         | Denied
expired-403   | Denied         | Denied          | Denied         | Denied
skew          | ok / Denied    | ok / Denied     | ok / Denied    | ok / Denied
"""

STREAMS = """
fault         | stream         | stream create  | stream swap
lost-before   | ok / Lost      | ok / Lost      | ok / Lost
lost-after    | ok             | ok             | ok
cut           | ok             | ok             | ok
stall         | ok             | ok             | ok
stall-body    | ok             | ok             | ok
trickle       | ok             | ok             | ok
500-before    | ok / Server    | ok / Server    | ok / Server
500-after     | ok             | ok             | ok
slow-down     | ok / Throttled | ok / Throttled | ok / Throttled
slow-after    | ok             | ok             | ok
409           | Conflict       | Conflict       | Conflict
412           | Failed         | Exists         | Changed
200-error     | ok / Server    | ok / Server    | ok / Server
wrong-etag    | ok             | ok             | ok
short         | ok             | ok             | ok
long          | -              | -              | -
range-ignored | -              | -              | -
expired-400   | Denied         | Denied         | Denied
expired-403   | Denied         | Denied         | Denied
skew          | ok / Denied    | ok / Denied    | ok / Denied
"""

COPIES = """
fault         | copy                       | copy create    | copy swap
lost-before   | ok / Lost?,Unknown         | ok / Unknown   | ok / Unknown
lost-after    | ok / ok,Lost?,Unknown      | ok             | ok
cut           | ok / ok,Lost?,Unknown      | ok             | ok
stall         | ok / ok,Timeout?,Unknown   | ok             | ok
stall-body    | ok / ok,Timeout?,Unknown   | ok             | ok
trickle       | ok,Timeout?,Unknown        | ok             | ok
500-before    | ok / Server?,Unknown       | ok / Unknown   | ok / Unknown
500-after     | ok / ok,Server?,Unknown    | ok             | ok
slow-down     | ok / Throttled?,Unknown    | ok / Unknown   | ok / Unknown
slow-after    | ok / ok,Throttled?,Unknown | ok             | ok
409           | ok / Conflict              | ok / Conflict  | ok / Conflict
412           | Failed                     | Exists,Changed | Changed
200-error     | ok / Server?,Unknown       | ok / Unknown   | ok / Unknown
wrong-etag    | ok                         | ok             | ok
short         | ok / ok,Protocol?,Unknown  | ok             | ok
long          | -                          | -              | -
range-ignored | -                          | -              | -
expired-400   | Denied                     | Denied         | Denied
expired-403   | Denied                     | Denied         | Denied
skew          | ok / Denied                | ok / Denied    | ok / Denied
"""

REMOVALS = """
fault         | delete                 | bulk delete            | bucket
lost-before   | ok / Lost?             | ok / Lost?             | ok / Lost?
lost-after    | ok / Lost?             | ok / Lost?             | Exists? / Lost?
cut           | ok / Lost?             | ok / Lost?             | Exists? / Lost?
stall         | ok / Timeout?          | ok / Timeout?          | Exists? / Timeout?
stall-body    | ok / Timeout?          | ok / Timeout?          | Exists? / Timeout?
trickle       | ok / Timeout?          | ok / Timeout?          | Exists? / Timeout?
500-before    | ok / Server?           | ok / Server?           | ok / Server?
500-after     | ok / Server?           | ok / Server?           | Exists? / Server?
slow-down     | ok / Throttled?        | ok / Throttled?        | ok / Throttled?
slow-after    | ok / Throttled?        | ok / Throttled?        | Exists? / Throttled?
409           | ok,Conflict / Conflict | Conflict               | Conflict
412           | Failed                 | Failed                 | Failed
200-error     | ok / Server?,Protocol? | ok / Server?,Protocol? | ok / Server?,Protocol?
wrong-etag    | -                      | -                      | -
short         | -                      | ok / Protocol?         | -
long          | -                      | -                      | -
range-ignored | -                      | -                      | -
expired-400   | Denied                 | Denied                 | Denied
expired-403   | Denied                 | Denied                 | Denied
skew          | ok / Denied            | ok / Denied            | ok / Denied
"""

SETTINGS = """
fault         | tags                   | setting                | bucket removal
lost-before   | ok / Lost?             | ok / Lost?             | ok / Lost?
lost-after    | ok / Lost?             | ok / Lost?             | Missing? / Lost?
cut           | ok / Lost?             | ok / Lost?             | Missing? / Lost?
stall         | ok / Timeout?          | ok / Timeout?          | Missing? / Timeout?
stall-body    | ok / Timeout?          | ok / Timeout?          | Missing? / Timeout?
trickle       | ok / Timeout?          | ok / Timeout?          | Missing? / Timeout?
500-before    | ok / Server?           | ok / Server?           | ok / Server?
500-after     | ok / Server?           | ok / Server?           | Missing? / Server?
slow-down     | ok / Throttled?        | ok / Throttled?        | ok / Throttled?
slow-after    | ok / Throttled?        | ok / Throttled?        | Missing? / Throttled?
409           | ok / Conflict          | Conflict               | Conflict
412           | Failed                 | Failed                 | Failed
200-error     | ok / Server?,Protocol? | ok / Server?,Protocol? | ok / Server?,Protocol?
wrong-etag    | -                      | -                      | -
short         | -                      | -                      | -
long          | -                      | -                      | -
range-ignored | -                      | -                      | -
expired-400   | Denied                 | Denied                 | Denied
expired-403   | Denied                 | Denied                 | Denied
skew          | ok / Denied            | ok / Denied            | ok / Denied
"""

GUARDED = """
fault         | second file | delete version
lost-before   | ok / Partly | ok / Lost?,Unknown
lost-after    | ok          | Unknown / Lost?,Unknown
cut           | ok          | Unknown / Lost?,Unknown
stall         | ok          | Unknown / Timeout?,Unknown
stall-body    | ok          | Unknown / Timeout?,Unknown
trickle       | ok          | Unknown / Timeout?,Unknown
500-before    | ok / Partly | ok / Server?,Unknown
500-after     | ok          | Unknown / Server?,Unknown
slow-down     | ok / Partly | ok / Throttled?,Unknown
slow-after    | ok          | Unknown / Throttled?,Unknown
409           | ok / Partly | ok,Conflict / Conflict
412           | Partly      | Changed
200-error     | ok / Partly | ok / Server?,Protocol?,Unknown
wrong-etag    | ok          | -
short         | -           | -
long          | -           | -
range-ignored | -           | -
expired-400   | Partly      | Denied
expired-403   | Partly      | Denied
skew          | ok / Partly | ok / Denied
"""

LOGS = """
fault         | log entry
lost-before   | ok / Unknown
lost-after    | ok
cut           | ok
stall         | ok
stall-body    | ok
trickle       | ok
500-before    | ok / Unknown
500-after     | ok
slow-down     | ok / Unknown
slow-after    | ok
409           | ok / Conflict
412           | Missing
200-error     | ok / Unknown
wrong-etag    | ok
short         | -
long          | -
range-ignored | -
expired-400   | Denied
expired-403   | Denied
skew          | ok / Denied
"""

EXPRESS = """
fault         | rename        | rename create | append
lost-before   | ok / Unknown  | ok / Unknown  | ok / Unknown
lost-after    | ok            | ok / Unknown  | Unknown
cut           | ok            | ok / Unknown  | Unknown
stall         | ok            | ok / Unknown  | Unknown
stall-body    | ok            | ok / Unknown  | Unknown
trickle       | ok            | ok / Unknown  | Unknown
500-before    | ok / Unknown  | ok / Unknown  | ok / Unknown
500-after     | ok            | ok / Unknown  | Unknown
slow-down     | ok / Unknown  | ok / Unknown  | ok / Unknown
slow-after    | ok            | ok / Unknown  | Unknown
409           | ok / Conflict | ok / Conflict | ok / Conflict
412           | Changed       | Changed       | Changed
200-error     | ok / Unknown  | ok / Unknown  | ok / Unknown
wrong-etag    | -             | -             | ok
short         | -             | -             | -
long          | -             | -             | -
range-ignored | -             | -             | -
expired-400   | ok / Denied   | ok / Denied   | ok / Denied
expired-403   | ok / Denied   | ok / Denied   | ok / Denied
skew          | ok / Denied   | ok / Denied   | ok / Denied
"""

NETWORK = """
fault   | any request
idle    | ok
refused | ok / Connect
dns     | ok / Connect
tls     | - / Connect
"""

GROUPS: dict[str, str] = {
    "Facts and listings": READS,
    "The HEAD that pins what follows": PINS,
    "The first bytes, which pin what follows": OPENINGS,
    "Bytes": BODIES,
    "Bytes of an object of which nothing is known": SLICES,
    "A file that is opened to be changed": LOADING,
    "Single PUT": WRITES,
    "Multipart: before the completion": UPLOADS,
    "Multipart: the completion": COMPLETIONS,
    "Multipart: the completion of a stream": STREAMS,
    "Copies": COPIES,
    "Removing, buckets": REMOVALS,
    "Tags, access, settings of buckets": SETTINGS,
    "Transactions, conditional delete": GUARDED,
    "Renames and appends in a directory bucket": EXPRESS,
    "Logs": LOGS,
    "No connection": NETWORK,
}
