"""Chat completions with `llama-index-llms-openai`."""

from llama_index.llms.openai import OpenAI

from sdks.programs.indexes import Index
from sdks.programs.running import run

MODEL = "gpt-4o-mini"


def program(url: str, key: str) -> Index:
    def llm(retries: int) -> OpenAI:
        return OpenAI(model=MODEL, api_base=f"{url}/v1", api_key=key, max_retries=retries)

    return Index(llm(2), llm(0))


if __name__ == "__main__":
    run(program)
