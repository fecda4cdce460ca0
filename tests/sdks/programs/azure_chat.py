"""Azure's deployments with `openai`."""

import openai

from sdks.programs.openai_chat import TOOLS, about_a_picture, said
from sdks.programs.running import Trip, run

DEPLOYMENT = "gpt-4o-mini"


class Azure:
    def __init__(self, url: str, key: str) -> None:
        version = "2024-10-21"
        self._one = openai.AzureOpenAI(api_key=key, azure_endpoint=url, api_version=version)
        self._many = openai.AsyncAzureOpenAI(api_key=key, azure_endpoint=url, api_version=version)
        self._once = self._one.with_options(max_retries=0)

    def whole(self) -> object:
        return self._one.chat.completions.create(model=DEPLOYMENT, messages=said("hi"))

    async def whole_async(self) -> object:
        return await self._many.chat.completions.create(model=DEPLOYMENT, messages=said("count sim:output=100"), max_tokens=40)

    def streamed(self) -> object:
        return list(self._one.chat.completions.create(model=DEPLOYMENT, messages=said("hi"), stream=True))

    async def streamed_async(self) -> object:
        stream = await self._many.chat.completions.create(
            model=DEPLOYMENT, messages=said("count sim:output=30"), stream=True, stream_options={"include_usage": True}
        )
        return [chunk async for chunk in stream]

    def tools(self) -> object:
        return self._one.chat.completions.create(model=DEPLOYMENT, messages=said("go sim:tool=1"), tools=TOOLS)

    def structured(self) -> object:
        return self._one.chat.completions.parse(model=DEPLOYMENT, messages=said("hi"), response_format=Trip)

    def picture(self) -> object:
        return self._one.chat.completions.create(model=DEPLOYMENT, messages=about_a_picture())

    def rate_limited(self) -> object:
        return self._once.chat.completions.create(model=DEPLOYMENT, messages=said("hi sim:status=429"))

    def bad_request(self) -> object:
        return self._once.chat.completions.create(model=DEPLOYMENT, messages=said("hi sim:status=400"))

    def server_error(self) -> object:
        return self._once.chat.completions.create(model=DEPLOYMENT, messages=said("hi sim:status=500"), stream=True)


if __name__ == "__main__":
    run(Azure)
