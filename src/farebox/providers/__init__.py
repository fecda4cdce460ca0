"""Who is upstream: base URL, credential, dialect, quirks. Data and few functions; does no I/O."""
