"""adapter_for: which adapter serves which kind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llm_fleet.errors import ConfigError
from llm_fleet.providers import KINDS, adapter_for


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_adapter(kind: str) -> None:
    """The adapter says which kind it serves."""
    assert adapter_for(kind).kind == kind


def test_an_unknown_kind_is_refused_with_the_remedy() -> None:
    """A compatible server is configured with `kind` and `base_url`."""
    with pytest.raises(ConfigError, match="unknown kind of provider 'groq'.*anthropic, openai.*`base_url`"):
        adapter_for("groq")


def test_an_adapter_loads_no_sdk_before_its_first_client() -> None:
    """Importing the SDKs takes more than a second: it waits until one is needed."""
    code = (
        "from llm_fleet.providers import adapter_for; import sys;"
        "adapter_for('anthropic'), adapter_for('openai');"
        "print(sorted({'anthropic', 'openai', 'httpx2'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "[]\n", ran.stderr
