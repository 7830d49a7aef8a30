# SPDX-License-Identifier: MIT
"""
The verbs below `config`: what a store, a log and plugins can be told, and are told.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyfaster._cli._common import WRONG, AsJson, complain, console, write_json
from pyfaster.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pyfaster._config_check import Check

config_app = typer.Typer(
    no_args_is_help=True, help="Settings, and where they are from."
)

FILE_USUAL = "pyfaster.toml"
TO_STDOUT = "-"

MaybeFile = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", help="The file; none: the environment alone."),
]


def _models() -> dict[str, type[BaseModel]]:
    """
    The tables of the file, those of the installed plugins too.
    """
    from pyfaster._config_tables import all_tables
    from pyfaster._registry import registry

    return all_tables(registry)


@config_app.command()
def init(
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="Where to write it; - to show it.")
    ] = FILE_USUAL,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that is there.")
    ] = False,
) -> None:
    """
    Write a file with every setting, its default and what it is for.
    """
    from pyfaster._config_form import form

    text = form(_models())
    if file == TO_STDOUT:
        typer.echo(text, nl=False)
        return
    try:
        with open(file, "w" if force else "x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise ConfigError(
            f"{file} is there already; give another name, or --force"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    typer.echo(f"{file} written; nothing in it is said until a # is removed")


@config_app.command()
def show(file: MaybeFile = None, as_json: AsJson = False) -> None:
    """
    Show the settings that hold for a file and the environment, and who said each.
    """
    from pyfaster._config_layers import checked
    from pyfaster._registry import registry

    check = checked(file, registry, complete=True)
    check.refuse()
    rows = _rows(check)
    if as_json:
        write_json({"settings": rows})
        return
    from rich.table import Table

    from pyfaster._config_form import show_setting

    table = Table()
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        name = f"{row['table']}.{row['key']}"
        field = check.models[row["table"]].model_fields[row["key"]]
        table.add_row(name, show_setting(field, row["value"]), row["where"])
    console().print(table)


def _rows(check: Check) -> list[dict[str, Any]]:
    """
    Each setting with its value, and who said it.
    """
    from pydantic import BaseModel

    from pyfaster._config_trees import leaves

    rows: list[dict[str, Any]] = []
    for table, model in check.models.items():
        values = check.effective(table)
        said = check.tree.get(table, {})
        for key in model.model_fields:
            who = list(leaves(said[key])) if key in said else []
            value = values[key]
            rows.append(
                {
                    "table": table,
                    "key": key,
                    "value": value.model_dump()
                    if isinstance(value, BaseModel)
                    else value,
                    "origin": who[0].kind if who else "default",
                    "where": ", ".join(dict.fromkeys(one.where for one in who))
                    or "default",
                }
            )
    return rows


@config_app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file.")],
    as_json: AsJson = False,
) -> None:
    """
    List all mistakes of a file; the exit status is 1 when there are some.

    The environment is left out.
    """
    from pyfaster._config_layers import checked
    from pyfaster._registry import registry

    try:
        wrong = checked(file, registry, environ={}).wrong
    except ConfigError as error:  # it cannot be read, or is not TOML
        wrong = [str(error)]
    if as_json:
        write_json({"file": os.fspath(file), "mistakes": wrong})
    elif not wrong:
        typer.echo(f"{os.fspath(file)}: no mistakes")
    for sentence in wrong if not as_json else ():
        complain(sentence)
    if wrong:
        raise typer.Exit(WRONG)


@config_app.command()
def schema() -> None:
    """
    Write the JSON schema of the file, for editors.
    """
    from pyfaster._config_form import schema as schema_of

    members: Mapping[str, Any] = schema_of(_models())
    write_json(members)


__all__ = ["config_app"]
