# SPDX-License-Identifier: MIT
"""
Running the conformance suite with pytest, one item for each check.

    pytest -p pyfaster.testing.pytest_plugin --pyfaster-device=sample:/tmp/x \\
        --pyargs pyfaster.testing.conformance

The device is found by its scheme, as `pyfaster.open` finds it. What follows the scheme
is a folder, which is made if need be; each run works in a new folder inside, and takes
that away at its end. A project that always checks its device puts `-p
pyfaster.testing.pytest_plugin` into its `addopts`.

A check that does not apply to the device is neither passed nor left out: it is counted
as "not applicable", and its reason is shown at the end of the run.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyfaster.hookspecs import DeviceScheme
    from pyfaster.testing.conformance import Check, Factory, Suite

OPTION = "--pyfaster-device"

#: What a report carries when its check does not apply.
_MARK = "pyfaster-not-applicable"

_SUITE_FILE = Path(__file__).parent / "conformance" / "_suite.py"

_FOLDERS: pytest.StashKey[list[Path]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """
    Add the options of the suite.
    """
    group = parser.getgroup("pyfaster", "conformance of pyfaster's devices")
    group.addoption(
        OPTION,
        action="append",
        default=[],
        metavar="SCHEME:WHERE",
        help="check the device of this scheme, in this folder; may be given again",
    )
    group.addoption(
        "--pyfaster-device-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="hand this to the device; numbers, true and false are read as such",
    )


def pytest_configure(config: pytest.Config) -> None:
    """
    Remember which folders this run has made.
    """
    config.stash[_FOLDERS] = []


def pytest_unconfigure(config: pytest.Config) -> None:
    """
    Take the folders of this run away.
    """
    for folder in config.stash.get(_FOLDERS, []):
        shutil.rmtree(folder, ignore_errors=True)


# --- the device ---------------------------------------------------------------------


def _value(text: str) -> object:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.lstrip("-").isdigit() else text


def _options(config: pytest.Config) -> Mapping[str, object]:
    pairs = [text.partition("=") for text in config.getoption(f"{OPTION}-option")]
    return {name: _value(value) for name, _, value in pairs}


def find_scheme(scheme: str) -> DeviceScheme:
    """
    Find a scheme among those that are built in or installed.

    Raises:
        LookupError: No plugin serves it.
    """
    from pyfaster._registry import registry

    offer = registry.named("pyfaster_devices", scheme)
    if offer is None:
        registry.load()
        offer = registry.named("pyfaster_devices", scheme)
    if offer is None:
        known = ", ".join(registry.names("pyfaster_devices")) or "none"
        wrong = "; ".join(registry.failures())
        raise LookupError(
            f"no plugin serves the scheme {scheme!r}; there are: {known}. {wrong}"
        )
    found: DeviceScheme = offer.thing
    return found


def scheme_factory(
    scheme: DeviceScheme, folder: Path, options: Mapping[str, object] | None = None
) -> Factory:
    """
    Give a factory for `run_conformance` from a scheme.

    Args:
        scheme: As a plugin offers it.

        folder: Where places are made; each is a name inside it.

        options: As `device_options`.
    """
    from pyfaster.protocols import DeviceSettings
    from pyfaster.testing.conformance import SEGMENT_SIZE

    def factory(place: str) -> object:
        settings = DeviceSettings(
            store_id=1, segment_size=SEGMENT_SIZE, options=dict(options or {})
        )
        return scheme.factory(str(folder / place), settings)

    return factory


def scheme_claims(scheme: DeviceScheme) -> frozenset[str]:
    """
    Give what a scheme promises, as capabilities of its device's table.
    """
    from pyfaster.testing.conformance import CAPABILITIES

    words = {name for name, value in scheme.capabilities.items() if value is True}
    durable = {"flushes"} if "durable" in words else set()
    return frozenset(words & set(CAPABILITIES) | durable)


def _suite(config: pytest.Config, spelled: str) -> Suite:
    from pyfaster.testing.conformance import Suite

    scheme, colon, where = spelled.partition(":")
    if not (scheme and colon and where):
        raise pytest.UsageError(f"{OPTION}={spelled}: not of the form SCHEME:WHERE")
    try:
        found = find_scheme(scheme)
    except LookupError as error:
        raise pytest.UsageError(f"{OPTION}={spelled}: {error}") from error
    Path(where).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="conformance-", dir=where))
    config.stash[_FOLDERS].append(folder)
    factory = scheme_factory(found, folder, _options(config))
    return Suite(factory, scheme_claims(found))


# --- the items ----------------------------------------------------------------------


def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> pytest.Collector | None:
    """
    Collect the checks from the file of the suite.
    """
    if file_path != _SUITE_FILE:
        return None
    collected: pytest.Collector = ConformanceFile.from_parent(parent, path=file_path)
    return collected


class ConformanceFile(pytest.File):
    """
    The suite: its checks, once for each device.
    """

    def collect(self) -> Iterator[pytest.Item]:
        """
        Give an item for each check and device.
        """
        from pyfaster.testing.conformance import CHECKS

        devices: list[str] = self.config.getoption(OPTION)
        if not devices:
            raise pytest.UsageError(f"say which device: {OPTION}=SCHEME:WHERE")
        for spelled in devices:
            suite = _suite(self.config, spelled)
            for check in CHECKS:
                name = f"{check.id}[{spelled}]"
                yield CheckItem.from_parent(self, name=name, suite=suite, check=check)


class Nonconforming(Exception):
    """
    The device does not keep the sentence of a check.
    """


class CheckItem(pytest.Item):
    """
    One check of one device.
    """

    def __init__(self, *, suite: Suite, check: Check, **others: Any) -> None:
        super().__init__(**others)
        self.suite = suite
        self.check = check

    def runtest(self) -> None:
        """
        Run the check; raise if the device does not keep it.
        """
        from pyfaster.testing.conformance import FAILED, NOT_APPLICABLE

        outcome = self.suite.run(self.check)
        if outcome.status == FAILED:
            raise Nonconforming(outcome.reason)
        if outcome.status == NOT_APPLICABLE:
            self.user_properties.append((_MARK, outcome.reason))

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None
    ) -> Any:
        """
        Show the sentence and what was found instead.
        """
        if isinstance(excinfo.value, Nonconforming):
            return f"{self.check.sentence}\nfound: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """
        Name the item as it is listed.
        """
        return self.path, None, self.name


# --- what is shown ------------------------------------------------------------------


def _reason(report: Any) -> str | None:
    properties = getattr(report, "user_properties", ())
    return next((text for name, text in properties if name == _MARK), None)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """
    Count what does not apply by itself, not among what passed.
    """
    if report.when == "call" and report.passed and _reason(report) is not None:
        return "not applicable", "n", "NOT APPLICABLE"
    return None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """
    Say why checks did not apply.
    """
    reasons: dict[str, int] = {}
    for report in terminalreporter.stats.get("not applicable", ()):
        reason = _reason(report) or ""
        reasons[reason] = reasons.get(reason, 0) + 1
    if reasons:
        terminalreporter.section("checks that do not apply")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count:4} {reason}")
