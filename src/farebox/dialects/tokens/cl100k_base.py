"""The encoding of OpenAI's embeddings and of gpt-4 and gpt-3.5, loaded with this module: the import lock sees to it that threads load it once."""

from farebox.dialects.tokens import ranks

SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
PATTERN = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
ENCODING = ranks.load("cl100k_base", sha256=SHA256, pattern=PATTERN)
