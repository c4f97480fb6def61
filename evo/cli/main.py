"""The entry point: the commands, and errors as one line."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from evo import __version__
from evo.errors import EvoError

COMMANDS = {
    "init": "evo.cli.project:init_command",
    "run": "evo.cli.running:run_command",
    "tui": "evo.cli.tui:tui_command",
    "serve": "evo.cli.tui:serve_command",
    "status": "evo.cli.status:status_command",
    "stop": "evo.cli.running:stop_command",
    "best": "evo.cli.looking:best_command",
    "show": "evo.cli.looking:show_command",
    "diff": "evo.cli.looking:diff_command",
    "checkout": "evo.cli.looking:checkout_command",
    "log": "evo.cli.looking:log_command",
    "lineage": "evo.cli.looking:lineage_command",
    "sql": "evo.cli.sql:sql",
    "data": "evo.cli.data:data",
    "eval": "evo.cli.evaluating:eval_command",
    "score": "evo.cli.evaluating:score_command",
    "enqueue": "evo.cli.running:enqueue_command",
    "founders": "evo.cli.project:founders",
    "pause": "evo.cli.steering:pause_command",
    "resume": "evo.cli.steering:resume_command",
    "kill": "evo.cli.steering:kill_command",
    "prune": "evo.cli.steering:prune_command",
    "retry": "evo.cli.steering:retry_command",
    "replicate": "evo.cli.steering:replicate_command",
    "pin": "evo.cli.steering:pin_command",
    "ban": "evo.cli.steering:ban_command",
    "hint": "evo.cli.steering:hint_command",
    "budget": "evo.cli.steering:budget_command",
    "slots": "evo.cli.steering:slots_command",
    "doctor": "evo.cli.doctor:doctor_command",
    "bench": "evo.cli.bench:bench",
    "propose": "evo.cli.proposing:propose_command",
    "engine": "evo.cli.running:engine_command",
}
SUMMARIES = {
    "init": "Make a project folder: train.py, program.md, settings.",
    "run": "Start a search, or go on with one, and watch it.",
    "tui": "Watch, ask and steer a run in the terminal.",
    "serve": "The same in a browser, on this machine.",
    "status": "What a run is doing, on one screen.",
    "stop": "Stop a running search.",
    "best": "The best variant so far, and how it got there.",
    "show": "Everything about one variant.",
    "diff": "What a variant changed, or how two differ.",
    "checkout": "Write a variant's train.py.",
    "log": "What a variant printed while it trained.",
    "lineage": "A variant's ancestors, with what each brought.",
    "sql": "Ask the archive in SQL.",
    "data": "Prepare and look at training data.",
    "eval": "Measure any train.py: mean and spread, no search.",
    "score": "Train a variant anew, on a split of your choice.",
    "enqueue": "Have a patch or a train.py of yours tried next.",
    "founders": "Look at the gene pool.",
    "pause": "Start no new trial; those that run go on.",
    "resume": "Go on after a pause.",
    "kill": "Give a trial up; no fault of its variant.",
    "prune": "Give a trial up as hopeless.",
    "retry": "Run a variant again, next.",
    "replicate": "Measure a variant once more, with a fresh seed.",
    "pin": "Keep a variant among the parents.",
    "ban": "Never build on a variant again.",
    "hint": "Tell the operators something, from now on.",
    "budget": "Change when the session ends.",
    "slots": "Change how many trials run at a time.",
    "doctor": "What evo finds on this machine, and what is missing.",
    "bench": "Measure the search itself, on simulated landscapes.",
    "propose": "Show what a model would be told; ask it once.",
}


class LazyGroup(click.Group):
    """Loads a command's module when it is called, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], SUMMARIES, n=1)
            if near:
                raise click.UsageError(f"{error.message} Did you mean `{near[0]}`?", ctx) from error
            raise


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evo")
def cli() -> None:
    """Evolve a training script: a population instead of a hill-climber.

    \b
    Try it:   evo run --trials 24        needs no key and no GPU
    Look:     evo best                   evo lineage best
    Ask:      evo sql "from operator_yield"
    """


def main(arguments: list[str] | None = None) -> Any:
    """Runs a command; what evo can explain becomes one line and exit code 2."""
    try:
        return cli(args=arguments, prog_name="evo", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EvoError as error:
        click.echo(f"error: {error}", err=True)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ninterrupted; a running engine goes on: `evo status`, `evo stop`", err=True)
        sys.exit(130)
    except OSError as error:
        click.echo(f"error: {error}", err=True)
    sys.exit(2)
