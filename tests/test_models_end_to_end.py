"""The real train.py, evolved by a language model over HTTP: mutation and repair at least."""

import json
import re
from pathlib import Path

import pytest

from tests.models.muse import block
from tests.models.server import Request, Said, serving
from tests.projects import evo, rows, sql

MODEL = "openai/gpt-4o-mini"
SETTINGS = f"""[tool.evo]
slots = 1
founders = 0
models = ["{MODEL}"]

[tool.evo.task]
budget_seconds = 1

[tool.evo.arena]
sequence_len = 32
score_tokens = 2048
device = "cpu"
"""
LINE = re.compile(r"^ *\d+│ (HEAD_STD = .*)$", re.MULTILINE)


class Proposer:
    """Changes one constant each time, so that crossings conflict; each third change slips."""

    def __init__(self) -> None:
        self.mutations = 0

    def __call__(self, request: Request) -> Said:
        text = request.text
        if "# The proposal that broke" in text:
            body = block("HEAD_STDD", "HEAD_STD")
        elif "# Hunk 1 of" in text:
            count = int(re.findall(r"# Hunk 1 of (\d+)", text)[0])
            body = "\n".join(
                f"## Hunk {n}\n```\nHEAD_STD = (0.00{n}7, 0.001)[CUDA]\n```\n"
                for n in range(1, count + 1)
            )
        else:
            self.mutations += 1
            new = f"HEAD_STD = (0.0{self.mutations:03d}1, 0.001)[CUDA]"
            if self.mutations % 3 == 0:
                new = new.replace("HEAD_STD", "HEAD_STDD")
            body = block(LINE.findall(text)[0], new)
        return Said(f"Title: HEAD_STD, step {self.mutations}\nRationale: To see.\n\n{body}")


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.timeout(900)
def test_one_key_and_one_model_name_evolve_the_real_train_py(tmp_path: Path) -> None:
    with serving(Proposer()) as server:
        variables = {
            "EVO_DATA_DIR": str(tmp_path / "data"),
            "OPENAI_API_KEY": "sk-of-the-environment",
            "OPENAI_API_BASE": server.base,
        }
        evo(tmp_path, "init", "mine")
        project = tmp_path / "mine"
        (project / "pyproject.toml").write_text(SETTINGS)
        for _ in range(6):
            evo(project, "run", "--trials", "6", "--plain", variables=variables)
            found = sql(
                project,
                "SELECT operator, sum(cost_usd) AS usd, count(*) FILTER (outcome = 'accepted') AS "
                "accepted FROM proposals WHERE model <> '' GROUP BY ALL",
            )
            done = {str(one["operator"]) for one in found if one["accepted"]}
            if done >= {"mutate", "repair"}:
                break
    # Whether two mutations are worth a crossing is for the noise of so short trials to say.
    assert done >= {"mutate", "repair"}, json.dumps(found)
    assert all(float(str(one["usd"])) > 0 for one in found)
    scored = rows(
        project,
        "SELECT count(*) FROM trials t JOIN variants v ON v.id = t.variant "
        "WHERE v.model <> '' AND t.val_bpb IS NOT NULL AND NOT t.self_reported",
    )
    assert scored[0][0] > 0
    roles = {row[0] for row in rows(project, "SELECT role FROM role_yield")}
    assert "debugger" in roles
