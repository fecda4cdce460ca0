"""What a model's id or ARN means: the name that the price book knows it by, or why its cost is not known.

A bare id is served in the region that is asked, an inference profile's in the regions of its prefix: both are names of their own, with prices
of their own. An ARN of either says the same at more length. Every other kind of ARN stands for something that its owner made.
"""

import re

from farebox.dialects import fields

_ARN = re.compile(r"arn:aws:bedrock:[a-z0-9-]{1,20}:[0-9]{0,12}:(foundation-model|inference-profile)/([A-Za-z0-9.:-]+)")
_OTHERS = {
    "prompt/": "the prompt that it names is kept by the provider and is not in the request.",
    "prompt-router/": "it lets the provider choose another model.",
}
_OWN = "which model it stands for, and at what price, is known to its owner's account alone."


def priced_name(argument: str) -> str:
    """The name to look up. Raises CostUnbounded for an ARN whose model is not known."""
    provider, slash, rest = argument.partition("/")
    arn = argument if argument.startswith("arn:") else rest if slash and rest.startswith("arn:") else ""
    if not arn:
        return argument
    found = _ARN.fullmatch(arn)
    if found is None:
        fields.refuse_cost("modelId", next((why for mark, why in _OTHERS.items() if mark in arn), _OWN))
    return found[2] if arn is argument else f"{provider}/{found[2]}"


def arn_of(argument: str) -> str:
    """The ARN that was asked for, or nothing."""
    at = argument.find("arn:")
    return argument[at:] if at == 0 or (at > 0 and argument[at - 1] == "/") else ""
