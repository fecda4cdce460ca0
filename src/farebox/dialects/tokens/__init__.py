"""Counting tokens here: what the second stage of admission may ask (providers.md §5.3, §5.4), where the byte bound does not fit.

Pure, but for reading two files that come with the package. Nothing is loaded before the first count: the ranks take some hundred
megabytes and half a second. Counting megabytes takes a second: whoever runs an event loop counts on a thread.
"""
