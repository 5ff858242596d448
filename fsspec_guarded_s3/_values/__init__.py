"""Values that every folder may use, and checks of values.

Paths, models of S3's answers, request bodies, checksums, deadlines, the attributes of an object, and what a
verb's keywords must be. A value is frozen, or read again from its start; nothing here waits for a network.

Imported by: every folder, and `options`.
Imports: `errors` alone, of this package.
Never imports: any other folder, and `options`.
"""
