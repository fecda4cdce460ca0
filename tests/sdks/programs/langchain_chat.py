"""Chat completions with `langchain-openai`."""

from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from sdks.programs.chains import Chain
from sdks.programs.running import run

MODEL = "gpt-4o-mini"


def program(url: str, key: str) -> Chain:
    def model(retries: int) -> ChatOpenAI:
        return ChatOpenAI(model=MODEL, base_url=f"{url}/v1", api_key=SecretStr(key), max_retries=retries)

    return Chain(model(2), model(0))


if __name__ == "__main__":
    run(program)
