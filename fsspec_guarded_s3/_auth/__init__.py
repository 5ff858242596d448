"""Who asks, and where: credentials, endpoints, signatures.

`session` keeps the credentials. `settings` reads the rest of AWS's configuration. `endpoints` knows the
address of a bucket, and the region that was learned for it. `operations` makes a request of an operation's
name and parameters in botocore. `signer` makes a signed request of all these, by `sigv4` or `sigv4a`.
Sessions, sources of credentials and endpoint rules are botocore's: `chain` and `rules` load it, when they are
wanted (`rules_by_client` where the rules are not what they were), `unconfigured` tells when they are not.
`provided` takes credentials that a program brings along; it and `delegation` ask STS. Nothing here sends a
request to S3.

Imported by: `_s3`, and the doctor.
Imports: `options` and the values below it.
Never imports: `_http` and `_s3`.
"""
