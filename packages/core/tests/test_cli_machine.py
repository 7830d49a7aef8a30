# SPDX-License-Identifier: MIT
"""What `pyfaster doctor` reads in the system's own words, on texts of many kinds."""

from __future__ import annotations

import pytest

from pyfaster._cli import _machine, _mounts
from pyfaster._cli._mounts import Mount, judge_mount, mount_of, parse_mounts
from pyfaster._registry import Plugin

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
30 27 0:27 / /dev/shm rw - tmpfs tmpfs rw,size=24684096k
40 27 0:50 / /data rw,relatime - nfs4 server:/export rw,vers=4.2
41 40 8:1 / /data/fast rw - xfs /dev/sda1 rw
42 27 0:60 / /mnt/with\\040blank rw - btrfs /dev/sdb rw
43 27 0:61 / /twice rw - ext4 /dev/sdc rw
44 43 0:62 / /twice rw - overlay overlay rw,lowerdir=a
not a line of the table
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/home/me", "ext4"),
        ("/dev/shm/store", "tmpfs"),
        ("/data", "nfs4"),
        ("/data/other", "nfs4"),
        ("/data/fast/store", "xfs"),
        ("/data/faster", "nfs4"),
        ("/mnt/with blank/x", "btrfs"),
        ("/twice", "overlay"),
    ],
)
def test_a_path_is_in_the_mount_that_is_nearest(path: str, kind: str) -> None:
    """The longest mount point above a path counts, the last of those at one place."""
    found = mount_of(path, parse_mounts(MOUNTS))
    assert found is not None
    assert found.kind == kind


def test_lines_of_another_form_are_left_out() -> None:
    """What is no line of the table is not taken for a mount."""
    assert len(parse_mounts(MOUNTS)) == len(MOUNTS.splitlines()) - 1
    assert parse_mounts("") == ()
    assert parse_mounts("1 2 3 - ext4\n22 27 0:21 / /proc rw -\n") == ()
    assert mount_of("/x", ()) is None


@pytest.mark.parametrize(
    ("kind", "source", "status", "said"),
    [
        ("ext4", "/dev/sda1", "ok", "ext4"),
        ("xfs", "/dev/sda1", "ok", "xfs"),
        ("nfs", "host:/x", "warning", "network"),
        ("nfs4", "host:/x", "warning", "network"),
        ("cifs", "//host/x", "warning", "network"),
        ("smb3", "//host/x", "warning", "network"),
        ("9p", "share", "warning", "network"),
        ("fuse.sshfs", "me@host:/x", "warning", "network"),
        ("unheard-of", "host.of.mine:/x", "warning", "network"),
        ("fuse.other", "thing", "warning", "a program serves it"),
        ("overlay", "overlay", "warning", "containers"),
        ("tmpfs", "tmpfs", "warning", "memory"),
        ("vfat", "/dev/sdb1", "warning", "another system"),
        ("btrfs", "/dev/sdb1", "note", "copies"),
    ],
)
def test_hazards_are_named(kind: str, source: str, status: str, said: str) -> None:
    """Each file system that hurts a store is named, with advice; a disk's is fine."""
    finding = judge_mount(Mount("/data", kind, source, frozenset({"rw"})))
    assert (finding.status, said in finding.found) == (status, True)
    assert kind in finding.found
    assert bool(finding.advice) == (status != "ok")


def test_how_it_is_mounted_counts() -> None:
    """Read-only is a failure, no flushes a warning, and no table is told of."""
    read_only = Mount("/d", "ext4", "/dev/sda1", frozenset({"ro", "relatime"}))
    assert judge_mount(read_only).status == "failure"
    unsafe = Mount("/d", "ext4", "/dev/sda1", frozenset({"rw", "nobarrier"}))
    assert judge_mount(unsafe).status == "warning"
    assert "nobarrier" in judge_mount(unsafe).found
    assert judge_mount(None).status == "note"
    assert _mounts.TABLE.startswith("/proc/")


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("always [madvise] never\n", "ok", "madvise"),
        ("[always] madvise never\n", "ok", "always"),
        ("always madvise [never]\n", "warning", "never"),
        ("", "note", "does not say"),
        (None, "note", "does not say"),
    ],
)
def test_huge_pages_are_read(text: str | None, status: str, said: str) -> None:
    """The word in brackets is the one that holds."""
    finding = _machine.huge_pages_found(text)
    assert (finding.status, said in finding.found) == (status, True)


MEMINFO = """\
MemTotal:       24684096 kB
MemFree:         1000000 kB
MemAvailable:   20000000 kB
SwapTotal:       2097152 kB
HugePages_Total:       0
"""


def test_memory_is_read() -> None:
    """Figures are bytes, and lines without a unit are left out."""
    figures = _machine.parse_meminfo(MEMINFO)
    assert figures["MemTotal"] == 24684096 * 1024
    assert "HugePages_Total" not in figures
    assert _machine.swap_found(MEMINFO).status == "note"
    assert _machine.swap_found("SwapTotal:  0 kB\n").status == "ok"


V1 = "9:name=systemd:/\n4:memory:/app/one\n1:cpu,cpuacct:/\n0::/\n"
V2 = "0::/user.slice/app.scope\n"


def test_control_groups_of_both_versions_are_found() -> None:
    """The group's own limit and those above it are looked at, the nearest first."""
    first = list(_machine.limit_files(_machine.parse_cgroup(V1)))
    root = "/sys/fs/cgroup/memory"
    assert first == [
        f"{root}/app/one/memory.limit_in_bytes",
        f"{root}/app/memory.limit_in_bytes",
        f"{root}/memory.limit_in_bytes",
    ]
    second = list(_machine.limit_files(_machine.parse_cgroup(V2)))
    assert second == [
        "/sys/fs/cgroup/user.slice/app.scope/memory.max",
        "/sys/fs/cgroup/user.slice/memory.max",
        "/sys/fs/cgroup/memory.max",
    ]
    assert _machine.parse_cgroup("nonsense\n:\n") == {}


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"user.slice/app.scope/memory.max": "max\n"}, None),
        ({"user.slice/app.scope/memory.max": "1073741824\n"}, 1 << 30),
        (
            {
                "user.slice/app.scope/memory.max": "4294967296\n",
                "user.slice/memory.max": "2147483648\n",
            },
            2 << 30,
        ),
        ({"memory.max": "9223372036854771712\n"}, None),
    ],
)
def test_the_least_limit_holds(files: dict[str, str], limit: int | None) -> None:
    """Of all groups above a process the tightest counts; a huge number is none."""
    texts = {f"/sys/fs/cgroup/{name}": text for name, text in files.items()}
    texts["/proc/self/cgroup"] = V2
    assert _machine.memory_limit(texts.get) == limit
    texts["/proc/meminfo"] = MEMINFO
    finding = _machine.memory_found(texts.get)
    assert finding.status == ("ok" if limit is None else "note")
    assert ("control group" in finding.found) == (limit is not None)


def test_a_system_that_says_nothing_is_no_error() -> None:
    """Without any of these files there are notes, and nothing is raised."""
    findings = list(_machine.look_at_machine(lambda path: None))
    assert {one.name for one in findings} >= {"python", "memory", "huge pages"}
    assert all(one.status in ("ok", "note", "warning") for one in findings)


@pytest.mark.parametrize(
    ("limit", "status"), [(None, "ok"), (1024, "ok"), (256, "ok"), (64, "warning")]
)
def test_few_open_files_are_a_warning(limit: int | None, status: str) -> None:
    """Each segment is a file, so a low limit is told of."""
    assert _machine.files_found(limit).status == status


def test_a_preloaded_library_without_fsync_is_found() -> None:
    """What turns fsync into nothing is a failure, by the process's own maps."""
    maps = "7f00-7f01 r-xp 00000000 fe:00 7  /usr/lib/libeatmydata/libeatmydata.so\n"
    assert _machine.silencer_in(maps) == "libeatmydata.so"
    assert _machine.silencer_in("7f00-7f01 r-xp 0 fe:00 7  /usr/lib/libc.so.6\n") == ""
    findings = list(_machine.look_at_machine({"/proc/self/maps": maps}.get))
    assert [one.status for one in findings if "preloaded" in one.name] == ["failure"]


@pytest.mark.parametrize(("size", "status"), [(4096, "ok"), (16384, "note"), (0, "ok")])
def test_other_pages_are_noted(size: int, status: str) -> None:
    """A page size that is not the usual one is worth knowing."""
    assert _machine.page_size_found(size).status == status


def test_plugins_are_judged_by_what_is_wrong_with_them() -> None:
    """A failed plugin is a failure, one left out a note, another version a warning."""
    plugins = [
        Plugin("a", "pyfaster-a", "1.2.9", "entry point"),
        Plugin("b", "pyfaster-b", "1.1.0", "entry point"),
        Plugin("c", "pyfaster-c", "1.2.0", "entry point", errors=("it broke",)),
        Plugin("d", "pyfaster-d", "1.2.0", "entry point", status="excluded"),
        Plugin("e", "stranger", "7", "entry point"),
    ]
    found = list(_machine.versions_found("1.2.3", plugins))
    assert [(one.name, one.status) for one in found] == [
        ("pyfaster", "ok"),
        ("plugin a", "ok"),
        ("plugin b", "warning"),
        ("plugin c", "failure"),
        ("plugin d", "note"),
    ]
    assert "it broke" in found[3].found
