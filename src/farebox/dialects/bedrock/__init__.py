"""The Bedrock dialect: Converse and ConverseStream."""

from farebox.dialects.bedrock.dialect import Bedrock
from farebox.dialects.bedrock.refusing import error_type

__all__ = ["Bedrock", "error_type"]
