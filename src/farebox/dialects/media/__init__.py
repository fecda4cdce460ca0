"""What media can cost at most, from their bytes (providers.md §5.4): one file per kind.

Pure, and made for hostile input: whatever is truncated, lies, is huge or no base64 at all is bounded by the most that its kind can cost,
never by an exception. Owns no API's fields (its dialect finds the media and takes their bytes out of the text) and no prices. A bound of
`None` means that nothing less than the model's context window is safe.
"""
