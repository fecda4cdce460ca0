"""Images with `openai`."""

import base64

import openai

from sdks.programs.running import IMAGE, run

PAINTS = "gpt-image-1"


def picture() -> tuple[str, bytes]:
    return "picture.png", base64.b64decode(IMAGE)


class Images:
    def __init__(self, url: str, key: str) -> None:
        self._one = openai.OpenAI(api_key=key, base_url=f"{url}/v1")
        self._many = openai.AsyncOpenAI(api_key=key, base_url=f"{url}/v1")
        self._once = self._one.with_options(max_retries=0)

    def painted(self) -> object:
        return self._one.images.generate(model=PAINTS, prompt="a fare box", size="1024x1024", quality="low")

    async def painted_async(self) -> object:
        stream = await self._many.images.generate(
            model=PAINTS, prompt="a fare box", size="1024x1024", quality="low", stream=True, partial_images=2
        )
        return [event async for event in stream]

    def edited(self) -> object:
        return self._one.images.edit(model=PAINTS, image=picture(), prompt="make it red", size="1024x1024", quality="low")

    def bad_request(self) -> object:
        return self._once.images.generate(model=PAINTS, prompt="hi sim:status=400", size="1024x1024", quality="low")


if __name__ == "__main__":
    run(Images)
