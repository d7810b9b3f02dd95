"""Object stores: files in buckets of S3 and OBS, fetched, sent and read where a path could stand.

`address` reads URLs, `settings` finds keys, `store` is the seam, `stage` moves whole folders.
"""
