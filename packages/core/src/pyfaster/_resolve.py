# SPDX-License-Identifier: MIT
"""
From what a user names (a type, a hash, a scheme) to who provides it.

Built-ins are asked first; only when they have no answer are the installed plugins
loaded. When nobody has one, the error lists what there is, names plugins that could not
be loaded, and gives the `pip install` line that helps.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from pyfaster._registry import BUILT_IN, Offer, Registry, clash
from pyfaster.errors import (
    CodecError,
    ConfigError,
    FasterError,
    PluginError,
    PluginMissingError,
    pip_line,
)
from pyfaster.hookspecs import DeviceScheme
from pyfaster.protocols import NATIVE_KINDS, VALUE_TYPES, Codec, HashChoice

if TYPE_CHECKING:
    from pyfaster._config import StoreConfig

#: Device schemes that extras of `pyfaster` bring, by the extra.
DEVICE_EXTRAS = {"file": "file", "uring": "uring"}
#: The distribution that most codecs and hashes come from.
CODECS_DISTRIBUTION = "pyfaster-codecs"

#: The extra, and the plugin, that follows the settings socket and telemetry.
OBSERVER = "observability"

#: Numbers of `enum faster_hash`.
HASH_IDS = (1, 2)


def codec_for(spec: object, *, role: str, registry: Registry) -> Codec[Any]:
    """
    Find the codec for what was given as `key=` or `value=`.

    Args:
        spec: A codec, a type, a dtype, a stable name, or what a plugin understands.

        role: "key" or "value"; keys need a canonical codec.

        registry: Whose plugins are asked.

    Raises:
        CodecError: There is none, it may not serve as a key, or it is malformed.

        PluginError: Two plugins claim the spec.
    """
    codec: Any
    if _looks_like_codec(spec):
        codec, origin = spec, f"{role}={spec!r}"
    else:
        offer = _ask_providers(spec, registry)
        if offer is None:
            raise _no_codec(spec, role, registry)
        codec, origin = offer.thing, str(offer.plugin)
    flaw = codec_flaw(codec)
    if flaw:
        raise CodecError(f"{origin}: the codec {codec!r} {flaw}")
    if role == "key" and not codec.canonical:
        reason = getattr(codec, "not_a_key_because", None)
        raise CodecError(
            f"key={_show(spec)}: the codec {codec.name!r} may not serve keys, because "
            "equal objects can have different bytes with it; use bytes, str, int or a "
            "fixed-size type as key" + (f"; here: {reason}" if reason else "")
        )
    result: Codec[Any] = codec
    return result


def _looks_like_codec(spec: object) -> bool:
    return not isinstance(spec, type) and isinstance(spec, Codec)


def _ask_providers(spec: object, registry: Registry) -> Offer | None:
    """
    The codec that a provider makes for a spec, with the plugin that it came from.
    """
    offers = registry.offers("pyfaster_codecs")
    builtin = [offer for offer in offers if offer.plugin.source == BUILT_IN]
    for offer in builtin:
        codec = offer.thing.codec_for(spec)
        if codec is not None:
            return Offer(offer.plugin, codec)
    registry.load()
    found: dict[str, Offer] = {}
    for offer in registry.offers("pyfaster_codecs"):
        if offer.plugin.source == BUILT_IN or offer.plugin.name in found:
            continue
        codec = _ask_provider(offer, spec)
        if codec is not None:
            found[offer.plugin.name] = Offer(offer.plugin, codec)
    if len(found) > 1:
        claimants = [offer.plugin for offer in found.values()]
        raise PluginError(clash(_show(spec), claimants))
    for answer in found.values():
        _check_names(answer, registry)
        return answer
    return None


def _ask_provider(offer: Offer, spec: object) -> Codec[Any] | None:
    try:
        codec: Codec[Any] | None = offer.thing.codec_for(spec)
    except FasterError:
        raise
    except (TypeError, ValueError) as error:
        raise CodecError(f"{offer.plugin}: {_show(spec)}: {error}") from error
    except Exception as error:
        raise PluginError(
            f"{offer.plugin}: codec_for({_show(spec)}) raised "
            f"{type(error).__name__}: {error}"
        ) from error
    return codec


def _check_names(answer: Offer, registry: Registry) -> None:
    """
    Refuse a codec whose stable name another plugin claims too.
    """
    name = str(getattr(answer.thing, "name", ""))
    claimants = {
        offer.plugin.name: offer.plugin
        for offer in registry.offers("pyfaster_codecs")
        if _claims(offer.thing.names, name)
    }
    if len(claimants) > 1:
        raise PluginError(clash(name, claimants.values()))
    if answer.plugin.name not in claimants:
        raise PluginError(
            f"{answer.plugin}: it made the codec {name!r}, which is not among the "
            "names it gave; its provider's `names` must cover all its codecs"
        )


def _claims(names: tuple[str, ...], name: str) -> bool:
    return any(
        name.startswith(one) if one.endswith(":") else name == one for one in names
    )


def codec_flaw(codec: Any) -> str:
    """
    What is wrong with a codec's description, or nothing.
    """
    if not _looks_like_codec(codec):
        return "lacks some of the attributes of pyfaster.protocols.Codec"
    if not isinstance(codec.name, str) or not codec.name:
        return f"has the name {codec.name!r}; it must be a text"
    size = codec.size
    if size is not None and (type(size) is not int or size < 0):
        return f"has the size {size!r}; it must be None or a number of bytes"
    if codec.value_type not in VALUE_TYPES:
        return f"has the value_type {codec.value_type!r}; use one of {VALUE_TYPES}"
    if codec.native is not None and codec.native not in NATIVE_KINDS:
        return f"has native={codec.native!r}; use None or one of {NATIVE_KINDS}"
    return ""


def _no_codec(spec: object, role: str, registry: Registry) -> CodecError:
    names = [
        name
        for offer in registry.offers("pyfaster_codecs")
        for name in offer.thing.names
    ]
    advice = "pass an object that fits pyfaster.protocols.Codec"
    if CODECS_DISTRIBUTION not in registry:
        advice = f"more come with {pip_line('codecs')}, or {advice}"
    return CodecError(
        f"{role}={_show(spec)}: there is no codec for this; there are "
        f"{', '.join(sorted(names))}; {advice}{_failures(registry)}"
    )


def _show(spec: object) -> str:
    return spec.__qualname__ if isinstance(spec, type) else repr(spec)


def _failures(registry: Registry) -> str:
    failures = registry.failures()
    return "".join(f"\n  ({failure})" for failure in failures)


def hash_for(name: str, *, registry: Registry) -> int:
    """
    Give the number of a hash in `enum faster_hash`.

    Raises:
        PluginMissingError: Nobody has it, and the codecs plugin is not installed.

        ConfigError: Nobody has it.
    """
    offer = registry.named("pyfaster_hashes", name)
    if offer is None:
        registry.load()
        offer = registry.named("pyfaster_hashes", name)
    if offer is None:
        known = ", ".join(registry.names("pyfaster_hashes"))
        text = f"hash={name!r}: there is no hash of this name; there are {known}"
        if CODECS_DISTRIBUTION in registry:
            raise ConfigError(text + _failures(registry))
        raise PluginMissingError(
            f"{text}; more come with {pip_line('codecs')}{_failures(registry)}"
        )
    choice: HashChoice = offer.thing
    if choice.native_id not in HASH_IDS:
        raise PluginError(
            f"{offer.plugin}: the hash {name!r} has the number {choice.native_id}, "
            f"which this core does not know; it knows {HASH_IDS}"
        )
    return choice.native_id


def observer_for(config: StoreConfig, *, registry: Registry) -> None:
    """
    Refuse settings that only the distribution for observability can follow, where it
    is not there.

    Raises:
        PluginMissingError: It is not installed, or could not be loaded.
    """
    registry.load()
    if any(
        OBSERVER in (plugin.name, plugin.distribution.removeprefix("pyfaster-"))
        and plugin.status == "loaded"
        for plugin in registry.plugins()
    ):
        return
    asked = f"socket={config.socket!r}" if config.socket else "telemetry=True"
    raise PluginMissingError(
        f"{asked}: no plugin for this is installed; "
        f"{pip_line(OBSERVER)}{_failures(registry)}"
    )


def device_for(scheme: str, *, registry: Registry) -> DeviceScheme:
    """
    Find who serves a device scheme.

    Raises:
        PluginMissingError: Nobody does.

        PluginError: Two plugins claim it.
    """
    registry.load()
    offer = registry.named("pyfaster_devices", scheme)
    if offer is not None:
        scheme_found: DeviceScheme = offer.thing
        return scheme_found
    text = f"no plugin for the device {scheme!r} is installed"
    if scheme in DEVICE_EXTRAS:
        advice = f"; {pip_line(DEVICE_EXTRAS[scheme])}"
    else:
        known = sorted({*DEVICE_EXTRAS, *registry.names("pyfaster_devices")})
        near = difflib.get_close_matches(scheme, known, n=1)
        advice = f"; did you mean {near[0]!r}?" if near else ""
    raise PluginMissingError(
        f"{text}{advice}; pyfaster.open() without a path keeps everything in "
        f"memory{_failures(registry)}"
    )
