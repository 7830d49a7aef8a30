# SPDX-License-Identifier: MIT
"""
The distributions install and work as a user gets them: a wheel, an sdist, a checkout.

Every wheel is made from its sdist, and is installed alone in an empty environment, with
what it says that it depends on and nothing else.
"""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import house
import installed

pytestmark = [pytest.mark.once, pytest.mark.slow]

CORE = house.ROOT / "packages" / "core"
CHECKER = house.ROOT / ".ci" / "wheels.py"

#: What each distribution is for, in its smallest form. Each prints one line.
PROGRAMS = {
    "core": """
import pyfaster
with pyfaster.open(":memory:", key=str, value=int) as store:
    with store.session() as s:
        s.upsert("apples", 3)
        s.rmw("apples", 2, merge="add")
        print(s.read("apples") == 5)
""",
    "codecs": """
import pyfaster
import pyfaster_codecs
with pyfaster.open(":memory:", key=str, value="struct:<qd") as store:
    store["apples"] = (3, 0.5)
    print(store["apples"] == (3, 0.5))
""",
    "checkpoint": """
import sys
from pathlib import Path
import pyfaster
from pyfaster_checkpoint import Coordinator
try:
    pyfaster.open(Path(sys.argv[1], "data"), key=str)
except pyfaster.PluginMissingError as error:
    missing = "pip install" in str(error) and "file" in str(error)
class Disk:
    def __init__(self, data):
        self.data = data
    def read(self, offset, buffer, /):
        piece = self.data[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)
    def write(self, offset, buffer, /):
        self.data.extend(bytes(max(offset - len(self.data), 0)))
        self.data[offset : offset + len(buffer)] = buffer
        return len(buffer)
    def sync(self):
        pass
    def truncate_before(self, offset, /):
        pass
    def close(self):
        pass
data = bytearray()
found = []
for _ in range(2):
    files = Coordinator().files_at(Path(sys.argv[1], "kept"), read_only=False)
    with pyfaster.open(device=Disk(data), checkpoints=files, value=int) as store:
        found.append(store.get(b"apples"))
        store[b"apples"] = 3
print(missing and found == [None, 3])
""",
    "fasterlog": """
from pyfaster_fasterlog import FasterLog
with FasterLog.open(":memory:") as log:
    log.append_many([b"one", b"two"])
    log.commit()
    print([entry.payload for entry in log.scan()] == [b"one", b"two"])
""",
    "observability": """
import pyfaster
import pyfaster_observability
pyfaster_observability.instrument()
with pyfaster.open(":memory:", key=str, value=int) as store:
    store["apples"] = 3
    print(store["apples"] == 3)
pyfaster_observability.uninstrument()
""",
    # A store that does not fit its memory. A system may refuse io_uring: then, with no
    # other device installed, the error says so.
    "devices-file": """
import sys
import pyfaster
scheme, refused = sys.argv[2:] or ("file", "0")
settings = {"durable": False, "memory": "512KiB", "page_size": "16KiB"}
values = [b"%0120d" % key for key in range(5000)]
try:
    where = f"{scheme}:{sys.argv[1]}/data"
    with pyfaster.open(where, key=int, **settings) as store:
        store.upsert_many(range(5000), values)
        evicted = store.stats().pages_evicted
        whole = store.read_many(range(5000)) == values
        print(evicted > 0 and whole and refused == "0")
except pyfaster.PluginMissingError as error:
    print(refused != "0" and "pip install" in str(error))
""",
}
PROGRAMS["devices-uring"] = (
    "import sys\nfrom pyfaster_devices_uring import _cabi\n"
    "sys.argv += ['uring', str(_cabi.uring_probe(None))]\n" + PROGRAMS["devices-file"]
)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of all sdists and wheels."""
    return installed.wheels(tmp_path_factory)


def test_every_package_has_a_program() -> None:
    """None is left out below."""
    assert PROGRAMS.keys() == installed.NAMES.keys()


@pytest.mark.parametrize("package", PROGRAMS)
def test_wheel_works_alone(dist: Path, tmp_path: Path, package: str) -> None:
    """A wheel in an empty environment brings what it needs, and does what it is for."""
    name = installed.NAMES[package]
    limits = tmp_path / "constraints.txt"
    limits.write_text(installed.constraints(dist), encoding="utf-8")
    environment = installed.Environment(tmp_path / "env")
    environment.install("--constraint", limits, installed.wheel(dist, name))
    ours = {one for one in environment.names() if one.startswith("pyfaster")}
    assert ours == {"pyfaster", name.replace("_", "-")}
    assert (
        environment.says("-W", "error", "-c", PROGRAMS[package], tmp_path) == "True\n"
    )
    rows = environment.says("-m", "pyfaster", "plugins", "--json")
    assert package == "core" or f'"{name.replace("_", "-")}"' in rows


def test_all_may_be_published(dist: Path, tmp_path: Path) -> None:
    """Tags, metadata, licence and contents are right; there is nothing else in dist."""
    checked = installed.called(tmp_path, sys.executable, CHECKER, "--check", dist)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    shown = checked.stdout.split()
    assert sorted(shown) == sorted(path.name for path in dist.iterdir())
    assert len(shown) == 2 * len(house.PACKAGES)


def rewritten(path: Path, old: bytes, new: bytes) -> None:
    """Replace bytes in the files of a wheel."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert any(old in data for data in files.values())
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data.replace(old, new))


def renamed(path: Path, old: str, new: str) -> None:
    """Rename a wheel, but not in what it tells itself."""
    assert old in path.name
    path.rename(path.with_name(path.name.replace(old, new)))


def longer(path: Path, old: str, new: str) -> None:
    """Add an empty file to a wheel."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(old, new)


#: What can only be wrong with a wheel for Linux.
FOR_LINUX = [("core", renamed, ("manylinux_", "linux_"), "not manylinux")]
FOR_LINUX *= sys.platform == "linux"


@pytest.mark.parametrize(
    ("package", "harm", "what", "said"),
    [
        ("core", renamed, ("abi3", "cp311"), "not cp311-abi3"),
        ("core", renamed, ("pyfaster-0", "pyfaster-1"), "no pyfaster-1"),
        ("core", longer, ("pyfaster/hot.c", ""), "holds pyfaster/hot.c"),
        ("codecs", longer, ("pyfaster_codecs/_x.abi3.so", ""), "_x"),
        ("codecs", longer, ("tests/test_a.py", ""), "holds tests/test_a.py"),
        ("codecs", rewritten, (b"Expression: MIT", b"Expression: ISC"), "'MIT'"),
        (
            "codecs",
            rewritten,
            (b"Metadata-Version: 2", b"Metadata-Version: 1"),
            "-Version is 1",
        ),
        ("codecs", rewritten, (b">=3.11", b">=3.10"), "Requires-Python"),
        ("codecs", rewritten, (b"License-File: LICENSE\n", b""), "License-File"),
        *FOR_LINUX,
    ],
)
def test_what_may_not_be_published_is_found(
    dist: Path, tmp_path: Path, package: str, harm: object, what: object, said: str
) -> None:
    """The check above names each flaw that is planted."""
    name = installed.NAMES[package]
    for path in (installed.wheel(dist, name), installed.sdist(dist, name)):
        shutil.copy(path, tmp_path)
    assert callable(harm)
    assert isinstance(what, tuple)
    check = (sys.executable, CHECKER, "--check", tmp_path, package)
    assert installed.called(tmp_path, *check).returncode == 0
    harm(installed.wheel(tmp_path, name), *what)
    checked = installed.called(tmp_path, *check)
    assert checked.returncode == 1
    assert said in checked.stdout + checked.stderr


def test_sdist_of_the_core_carries_its_c(dist: Path) -> None:
    """The sdist of the core has the C core without its tests and benchmarks."""
    with tarfile.open(installed.sdist(dist, installed.NAMES["core"])) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"native/CMakeLists.txt", "native/src/store/operations.c"} <= names
    assert [
        name for name in names if re.match(r"native/(tests|fuzz|bench)/", name)
    ] == []


def test_editable_install_works(tmp_path: Path) -> None:
    """A checkout installs in place, so that an edit needs no second install."""
    environment = installed.Environment(tmp_path / "env")
    quick = ("--config-settings", "cmake.build-type=Debug")
    environment.install(*quick, "--editable", CORE)
    assert environment.says("-c", PROGRAMS["core"]) == "True\n"
    found = environment.says("-c", "import pyfaster.errors as e; print(e.__file__)")
    assert Path(found.strip()) == CORE / "src" / "pyfaster" / "errors.py"
