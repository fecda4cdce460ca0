"""Prices: the book (dated, versioned), what a call can cost at most, what it did cost, and the import of price data. Pure.

Owns how units become pico-dollars. Does not own where rows are stored, what is held, or which provider answers.
"""
