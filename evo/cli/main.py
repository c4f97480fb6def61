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
    "status": "evo.cli.looking:status_command",
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
    "enqueue": "evo.cli.running:enqueue_command",
    "founders": "evo.cli.project:founders",
    "propose": "evo.cli.proposing:propose_command",
    "engine": "evo.cli.running:engine_command",
}
SUMMARIES = {
    "init": "Make a project folder: train.py, program.md, settings.",
    "run": "Start a search, or go on with one, and watch it.",
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
    "enqueue": "Have a patch or a train.py of yours tried next.",
    "founders": "Look at the gene pool.",
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
