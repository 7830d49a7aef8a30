# SPDX-License-Identifier: MIT
"""
Who the plugins are and what they offer.

Theory of operation: the registry wraps one pluggy manager. What the core brings is
registered first, through the same hooks as everything else. Entry points of the group
`pyfaster` are loaded when a name is asked for that is not built in, when the command
line starts, or when a program calls `load_plugins`; never by an import. Each hook
implementation is called by itself, so that a plugin that raises, or answers with the
wrong thing, is written down by name and the others are not affected. A name that two
plugins claim is refused when it is asked for.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pluggy

from pyfaster import hookspecs
from pyfaster._builtin_plugin import BuiltinPlugin
from pyfaster._version import __version__
from pyfaster.errors import PluginError
from pyfaster.hookspecs import GROUP, DeviceScheme, Finding
from pyfaster.protocols import CodecProvider, HashChoice, Inspector, LiveStores

#: Names of entry points, separated by commas; only these are loaded. Empty: none.
ENV_LIMIT = "PYFASTER_PLUGINS"

BUILT_IN = "built in"
ENTRY_POINT = "entry point"
REGISTERED = "registered"

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+")
_LISTING_HOOKS = {
    "pyfaster_devices": DeviceScheme,
    "pyfaster_codecs": CodecProvider,
    "pyfaster_hashes": HashChoice,
    "pyfaster_inspectors": Inspector,
    "pyfaster_doctor": Finding,
}
_STATUSES = get_args(get_type_hints(Finding)["status"])


@dataclass(slots=True)
class Plugin:
    """
    What is known about one plugin.

    Attributes:
        name: The entry point's name, or the one given when it was registered.

        distribution: The distribution that brought it; empty when unknown.

        version: That distribution's version.

        source: How it came: built in, entry point, registered.

        status: "loaded", "failed", or "excluded" by PYFASTER_PLUGINS.

        errors: What went wrong, one sentence each.
    """

    name: str
    distribution: str
    version: str
    source: str
    status: str = "loaded"
    errors: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.distribution:
            return f"plugin {self.name!r}"
        return f"plugin {self.name!r} of {self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Offer:
    """
    Something that a plugin offers.
    """

    plugin: Plugin
    thing: Any


def installed_entry_points() -> Iterable[metadata.EntryPoint]:
    """
    The entry points of the group, of all installed distributions.
    """
    return metadata.entry_points(group=GROUP)


class Registry:
    """
    The plugins of this process. All methods may be called from any thread.

    Args:
        entry_points: Gives the entry points that `load` goes through.
    """

    def __init__(
        self,
        entry_points: Callable[
            [], Iterable[metadata.EntryPoint]
        ] = installed_entry_points,
    ) -> None:
        self._entry_points = entry_points
        self._lock = threading.RLock()
        self._plugins: dict[str, Plugin] = {}
        self._offers: dict[str, list[Offer]] = {}
        self._loaded = False
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        builtin = Plugin("pyfaster", "pyfaster", __version__, BUILT_IN)
        self._add(builtin, BuiltinPlugin())

    # --- who there is ---------------------------------------------------------------

    def register(self, plugin: object, *, name: str | None = None) -> None:
        """
        Add a module or object with hook implementations.

        Args:
            plugin: What implements the hooks.

            name: What to call it; its `__name__` or type when not given.

        Raises:
            PluginError: The name is taken, or the implementations do not fit.
        """
        kind = type(plugin)
        name = name or getattr(plugin, "__name__", None) or kind.__qualname__
        with self._lock:
            if name in self._plugins:
                raise PluginError(
                    f"a plugin named {name!r} is registered already "
                    f"({self._plugins[name]}); pass another name="
                )
            entry = Plugin(name, "", "", REGISTERED)
            try:
                self._add(entry, plugin)
            except Exception as error:
                self._drop(name)
                raise PluginError(f"{entry}: {error}") from error

    def unregister(self, name: str) -> None:
        """
        Take a registered plugin away; an unknown name is ignored.
        """
        with self._lock:
            entry = self._plugins.get(name)
            if entry is not None and entry.source == REGISTERED:
                self._drop(name)

    def load(self) -> None:
        """
        Load the installed plugins; a second call does nothing.

        Cost: reads the metadata of all installed distributions, imports the plugins.
        """
        with self._lock:
            if self._loaded:
                return
            self._loaded = True
            limit = _limit()
            for point in self._entry_points():
                self._load_one(point, limit)

    def plugins(self) -> tuple[Plugin, ...]:
        """
        All plugins that were found so far, in the order in which they were.
        """
        with self._lock:
            return tuple(self._plugins.values())

    def failures(self) -> tuple[str, ...]:
        """
        One sentence for each plugin that is left out, or failed in some way.
        """
        left_out = [
            f"{plugin}: left out by {ENV_LIMIT}"
            for plugin in self.plugins()
            if plugin.status == "excluded"
        ]
        return (
            *left_out,
            *(
                f"{plugin}: {error}"
                for plugin in self.plugins()
                for error in plugin.errors
            ),
        )

    def __contains__(self, distribution: object) -> bool:
        return any(plugin.distribution == distribution for plugin in self.plugins())

    # --- what they offer ------------------------------------------------------------

    def offers(self, hook: str) -> list[Offer]:
        """
        Ask every plugin once what it offers through a registering hook.

        Args:
            hook: `pyfaster_devices`, `pyfaster_codecs`, `pyfaster_hashes` or
                `pyfaster_inspectors`.
        """
        with self._lock:
            if hook not in self._offers:
                self._offers[hook] = [
                    Offer(plugin, thing)
                    for plugin, answer in self._ask(hook)
                    for thing in self._checked(plugin, hook, answer)
                ]
            return list(self._offers[hook])

    def named(self, hook: str, name: str) -> Offer | None:
        """
        Find the one offer of a name (devices and hashes).

        Raises:
            PluginError: Two plugins claim the name.
        """
        found = [offer for offer in self.offers(hook) if offer.thing.name == name]
        if len(found) > 1:
            raise PluginError(clash(name, [offer.plugin for offer in found]))
        return found[0] if found else None

    def names(self, hook: str) -> list[str]:
        """
        All names on offer (devices and hashes), sorted.
        """
        return sorted({offer.thing.name for offer in self.offers(hook)})

    def answers(self, hook: str) -> list[tuple[Plugin, Any]]:
        """
        Ask every plugin, and give each answer as it came.
        """
        self.load()
        return list(self._ask(hook))

    def checkpoint_provider(self) -> object | None:
        """
        The first plugin's answer to who takes checkpoints, or None.
        """
        self.load()
        for _, answer in self._ask("pyfaster_checkpoint_provider"):
            if answer is not None:
                provider: object = answer
                return provider
        return None

    def live_stores(self) -> LiveStores | None:
        """
        The first plugin's answer to who reaches stores that run, or None.
        """
        self.load()
        for plugin, answer in self._ask("pyfaster_live"):
            if isinstance(answer, LiveStores):
                return answer
            if answer is not None:
                self.blame(plugin, f"pyfaster_live gave {answer!r}, not a LiveStores")
        return None

    def findings(self, directory: Path | None) -> list[Offer]:
        """
        Ask every plugin what it finds on this machine, and in a directory.
        """
        self.load()
        hook = "pyfaster_doctor"
        return [
            Offer(plugin, thing)
            for plugin, answer in self._ask(hook, directory=directory)
            for thing in self._checked(plugin, hook, answer)
        ]

    def commands(self) -> dict[str, Offer]:
        """
        Subcommands that plugins bring, by name; the first to claim a name has it.
        """
        self.load()
        found: dict[str, Offer] = {}
        for plugin, answer in self._ask("pyfaster_cli"):
            if not isinstance(answer, Mapping):
                self.blame(plugin, f"pyfaster_cli gave {answer!r}, not a mapping")
                continue
            for name, command in answer.items():
                if name in found:
                    self.blame(plugin, clash(name, [found[name].plugin, plugin]))
                else:
                    found[name] = Offer(plugin, command)
        return found

    def hears(self, hook: str) -> bool:
        """
        Whether some plugin would be told something.
        """
        return bool(self._calls(hook, {}))

    def tell(
        self,
        hook: str,
        failures: type[BaseException] = Exception,
        **facts: object,
    ) -> list[tuple[str, BaseException]]:
        """
        Tell every plugin something.

        Args:
            hook: What is called.

            failures: What a plugin may raise without keeping others from being told;
                anything in a thread that serves plugins alone, which no `sys.exit` of
                one of them shall end.

            **facts: What is told.

        Returns:
            The plugins that raised, by name, each with its exception.
        """
        raised: list[tuple[str, BaseException]] = []
        for name, call in self._calls(hook, facts):
            try:
                call()
            except failures as error:
                raised.append((name, error))
        return raised

    # --- inside ---------------------------------------------------------------------

    def _add(self, entry: Plugin, plugin: object) -> None:
        self._plugins[entry.name] = entry
        self._offers.clear()
        self._manager.register(plugin, name=entry.name)
        self._manager.check_pending()

    def _drop(self, name: str) -> None:
        del self._plugins[name]
        self._offers.clear()
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)

    def _load_one(self, point: metadata.EntryPoint, limit: set[str] | None) -> None:
        dist = point.dist
        entry = Plugin(
            point.name,
            dist.name if dist is not None else "",
            dist.version if dist is not None else "",
            ENTRY_POINT,
        )
        other = self._plugins.get(point.name)
        if other is not None:
            entry.name = f"{point.name} ({entry.distribution or point.value})"
            entry.status = "failed"
            self._plugins[entry.name] = entry
            self.blame(entry, clash(point.name, [other, entry]))
            return
        if limit is not None and point.name not in limit:
            entry.status = "excluded"
            self._plugins[entry.name] = entry
            return
        try:
            self._add(entry, point.load())
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            self._drop_broken(entry, error)

    def _drop_broken(self, entry: Plugin, error: Exception) -> None:
        if self._manager.has_plugin(entry.name):
            self._manager.unregister(name=entry.name)
        entry.status = "failed"
        self._plugins[entry.name] = entry
        self.blame(entry, f"loading raised {type(error).__name__}: {error}")

    def _calls(
        self, hook: str, facts: Mapping[str, object]
    ) -> list[tuple[str, Callable[[], Any]]]:
        """
        The calls of a hook's implementations, to be made one by one.
        """
        with self._lock:
            implementations = getattr(self._manager.hook, hook).get_hookimpls()
        return [
            (impl.plugin_name, _bind(impl, facts))
            for impl in implementations
            if not (impl.hookwrapper or impl.wrapper)
        ]

    def _ask(self, hook: str, **facts: object) -> Iterator[tuple[Plugin, Any]]:
        for name, call in self._calls(hook, facts):
            plugin = self._plugins[name]
            try:
                answer = call()
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything
                kind = type(error).__name__
                self.blame(plugin, f"{hook} raised {kind}: {error}")
            else:
                yield plugin, answer

    def _checked(self, plugin: Plugin, hook: str, answer: object) -> Iterator[Any]:
        kind = _LISTING_HOOKS[hook]
        if isinstance(answer, (str, Mapping)) or not isinstance(answer, Iterable):
            self.blame(plugin, f"{hook} gave {answer!r}, not a list")
            return
        try:
            things = list(answer)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            self.blame(plugin, f"{hook} raised {type(error).__name__}: {error}")
            return
        for thing in things:
            if isinstance(thing, type) or not isinstance(thing, kind):
                self.blame(plugin, f"{hook} gave {thing!r}, not a {kind.__name__}")
            elif isinstance(thing, DeviceScheme) and not _SCHEME.fullmatch(thing.name):
                self.blame(plugin, f"{hook} gave the invalid scheme {thing.name!r}")
            elif isinstance(thing, Finding) and thing.status not in _STATUSES:
                self.blame(plugin, f"{hook} gave the invalid status {thing.status!r}")
            else:
                yield thing

    def blame(self, plugin: Plugin, sentence: str) -> None:
        """
        Write down what is wrong with a plugin.
        """
        if sentence not in plugin.errors:
            plugin.errors = (*plugin.errors, sentence)


def clash(name: str, plugins: Iterable[Plugin]) -> str:
    """
    Say that several plugins claim one name.
    """
    claimants = " and ".join(str(plugin) for plugin in plugins)
    return (
        f"{name!r} is claimed by {claimants}; uninstall one, or leave it out of "
        f"the environment variable {ENV_LIMIT}"
    )


def _bind(impl: pluggy.HookImpl, facts: Mapping[str, object]) -> Callable[[], Any]:
    return lambda: impl.function(*[facts[name] for name in impl.argnames])


def _limit() -> set[str] | None:
    """
    The names that PYFASTER_PLUGINS allows; None for all.
    """
    text = os.environ.get(ENV_LIMIT)
    if text is None:
        return None
    return {name.strip() for name in text.split(",") if name.strip()}


#: The registry that stores and the command line use.
registry = Registry()
