"""A script: one question, streamed to the terminal.

    LLM_CONFIG_PATH=config/llm.yaml python examples/script.py "Why is the sky blue?"

Run it as often as you like at once: all runs share the limits of the config.
"""

from __future__ import annotations

import sys

from llm_fleet import LLMFleetError, Message, MessageRole
from llm_fleet.sync import get_llm_manager


def main(question: str) -> None:
    manager = get_llm_manager()
    for text in manager.get_client().stream_complete([Message(MessageRole.USER, question)]):
        print(text, end="", flush=True)
    print()
    manager.close()


if __name__ == "__main__":
    try:
        main(" ".join(sys.argv[1:]) or "Say hello in three languages.")
    except LLMFleetError as error:
        sys.exit(f"script.py: {error}")
