"""The shared history: immutable objects in a bucket or a folder, from which every database is derived."""
