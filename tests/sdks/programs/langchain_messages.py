"""Messages with `langchain-anthropic`."""

from langchain_anthropic import ChatAnthropic
from pydantic import SecretStr

from sdks.programs.chains import Chain
from sdks.programs.running import run

MODEL = "claude-sonnet-5-5"


def program(url: str, key: str) -> Chain:
    def model(retries: int) -> ChatAnthropic:
        return ChatAnthropic(model=MODEL, base_url=url, api_key=SecretStr(key), max_tokens_to_sample=64, max_retries=retries)

    return Chain(model(2), model(0))


if __name__ == "__main__":
    run(program)
