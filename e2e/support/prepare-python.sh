#!/bin/sh
# The Python side of the surface tests: the official OpenAI client, and schemathesis for fuzzing.
set -eu
cd "$(dirname "$0")/../.."
python3 -m venv .cache/surface-python
.cache/surface-python/bin/pip install --quiet --disable-pip-version-check openai==3.54.0 schemathesis==4.32.5
.cache/surface-python/bin/python -c 'import openai, schemathesis; print("openai", openai.__version__)'
