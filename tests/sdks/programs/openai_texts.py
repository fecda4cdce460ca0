"""Completions, embeddings and moderations with `openai`."""

import openai

from sdks.programs.running import run

COMPLETES = "gpt-3.5-turbo-instruct"
EMBEDS = "text-embedding-3-small"


class Texts:
    def __init__(self, url: str, key: str) -> None:
        self._one = openai.OpenAI(api_key=key, base_url=f"{url}/v1")
        self._many = openai.AsyncOpenAI(api_key=key, base_url=f"{url}/v1")
        self._once = self._one.with_options(max_retries=0)

    def completed(self) -> object:
        return self._one.completions.create(model=COMPLETES, prompt="hi", max_tokens=20)

    async def completed_async(self) -> object:
        stream = await self._many.completions.create(model=COMPLETES, prompt="count sim:output=30", max_tokens=40, stream=True)
        return [chunk async for chunk in stream]

    def embedded(self) -> object:
        return self._one.embeddings.create(model=EMBEDS, input=["one", "two words"])

    async def embedded_async(self) -> object:
        return await self._many.embeddings.create(model=EMBEDS, input=[[1, 2, 3], [4, 5]], encoding_format="float")

    def moderated(self) -> object:
        return self._one.moderations.create(model="omni-moderation-latest", input="hi")

    def bad_request(self) -> object:
        return self._once.embeddings.create(model=EMBEDS, input="hi sim:status=400")

    def rate_limited(self) -> object:
        return self._once.completions.create(model=COMPLETES, prompt="hi sim:status=429", max_tokens=20)


if __name__ == "__main__":
    run(Texts)
