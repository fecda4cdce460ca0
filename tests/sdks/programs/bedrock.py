"""Bedrock's converse with `boto3`: a client that sets nothing but the endpoint and a bearer key."""

import base64
import json
import os
from typing import Any

import boto3
from botocore.config import Config

from sdks.programs.running import IMAGE, Trip, run

MODEL = "anthropic.claude-haiku-4-5-20251001-v1:0"
CAPPED: Any = {"maxTokens": 64}
TOOLS: Any = {
    "tools": [
        {
            "toolSpec": {
                "name": "look_up",
                "description": "Looks something up.",
                "inputSchema": {"json": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}},
            }
        }
    ]
}


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": [{"text": text}]}]


def own(response: Any) -> Any:
    """A response without what HTTP said of it; its stream in full."""
    whole = {name: value for name, value in response.items() if name != "ResponseMetadata"}
    return {**whole, "stream": list(whole["stream"])} if "stream" in whole else whole


class Converse:
    def __init__(self, url: str, key: str) -> None:
        os.environ["AWS_BEARER_TOKEN_BEDROCK"] = key
        once: Any = Config(retries={"total_max_attempts": 1})
        self._client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=url)
        self._once = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=url, config=once)

    def whole(self) -> object:
        system: Any = [{"text": "Be brief."}]
        return own(self._client.converse(modelId=MODEL, messages=said("hi"), system=system, inferenceConfig=CAPPED))

    def capped(self) -> object:
        return own(self._client.converse(modelId=MODEL, messages=said("count sim:output=100"), inferenceConfig=CAPPED))

    def streamed(self) -> object:
        return own(self._client.converse_stream(modelId=MODEL, messages=said("count sim:output=30"), inferenceConfig=CAPPED))

    def tools(self) -> object:
        messages = said("look it up sim:tool=1")
        first = self._client.converse(modelId=MODEL, messages=messages, toolConfig=TOOLS, inferenceConfig=CAPPED)
        message = first["output"]["message"]
        (used,) = [block["toolUse"] for block in message["content"] if "toolUse" in block]
        result = {"toolResult": {"toolUseId": used["toolUseId"], "content": [{"json": {"found": "a fare box"}}]}}
        messages += [message, {"role": "user", "content": [result]}]
        return own(first), own(self._client.converse(modelId=MODEL, messages=messages, toolConfig=TOOLS, inferenceConfig=CAPPED))

    def tools_streamed(self) -> object:
        messages = said("go sim:tool=1")
        return own(self._client.converse_stream(modelId=MODEL, messages=messages, toolConfig=TOOLS, inferenceConfig=CAPPED))

    def structured(self) -> object:
        named = {"name": "trip", "schema": json.dumps(Trip.model_json_schema())}
        form: Any = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": named}}}
        answer = own(self._client.converse(modelId=MODEL, messages=said("hi"), inferenceConfig=CAPPED, outputConfig=form))
        return answer, Trip.model_validate_json(answer["output"]["message"]["content"][0]["text"])

    def picture(self) -> object:
        seen: Any = [{"image": {"format": "png", "source": {"bytes": base64.b64decode(IMAGE)}}}, {"text": "What is this?"}]
        return own(self._client.converse(modelId=MODEL, messages=[{"role": "user", "content": seen}], inferenceConfig=CAPPED))

    def rate_limited(self) -> object:
        return own(self._once.converse(modelId=MODEL, messages=said("hi sim:status=429"), inferenceConfig=CAPPED))

    def bad_request(self) -> object:
        return own(self._once.converse(modelId=MODEL, messages=said("hi sim:status=400"), inferenceConfig=CAPPED))

    def server_error(self) -> object:
        return own(self._once.converse_stream(modelId=MODEL, messages=said("hi sim:status=500"), inferenceConfig=CAPPED))


if __name__ == "__main__":
    run(Converse)
