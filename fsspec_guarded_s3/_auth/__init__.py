"""Who asks, and where: credentials, endpoints, signatures.

`session` finds credentials and `settings` the rest of AWS's configuration, `endpoints` the address of a
bucket, and `signer` makes a signed request of these. Sessions, sources of credentials, endpoint rules and
signing algorithms are botocore's. Nothing here sends a request to S3.

Imported by: `_s3`, and the doctor.
Imports: `options` and the values below it.
Never imports: `_http` and `_s3`.
"""
