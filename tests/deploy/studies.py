"""A small study file and the users of its cells, for the tests of studies."""

from pathlib import Path

import msgspec
import numpy as np

from deploy.simulation import User
from deploy.study_file import DrawSection, Setup, read_study
from deploy.study_users import drawn_user

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "deploy" / "testbeds" / "demo.yaml"
TEXT = f"""\
name: little
testbed: {DEMO}
schemes:
  - {{scheme: cbs}}
  - {{scheme: cbs_bt, rounds: 2}}
users: 5
chunk: 2
seed: 7
draw:
  masks: random
axes:
  downlink.subcarriers: [128]
  downlink.elements: [64]
  downlink_noise.snr_db: [0, 20]
bounds: all
"""
# eats its parent after the third chunk, at a moment at which more are under way


def written(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def setup_of(file: Path, **draw: object) -> Setup:
    setup = read_study(file).cells[0].setup
    return msgspec.structs.replace(setup, draw=msgspec.convert(draw, DrawSection))


def users_of(setup: Setup, n: int) -> list[User]:
    facts = setup.facts()
    return [drawn_user(setup, facts, np.random.default_rng((11, number))) for number in range(n)]
