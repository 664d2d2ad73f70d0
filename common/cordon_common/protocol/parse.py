"""YAML or JSON text → a frozen, checked study; every refusal names field, reason and example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cordon_common.errors import ProtocolError, UsageError
from cordon_common.protocol.strategies import STRATEGY_NAMES
from cordon_common.protocol.study import Study
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_common.canonical import Json
    from cordon_common.protocol.study import TrustModel
    from cordon_common.signing import Envelope, PublicKey

STUDY_TYPE = "cordon.study.v1"
MAX_CONFIG_BYTES = 8 * 1024 * 1024

M = TypeVar("M", bound=StrictModel)


def load_yaml(path: Path) -> Json:
    """Read one YAML document with the safe loader; size-capped, repeated keys refused.

    Raises:
        UsageError: US002 when the file is missing.
        ProtocolError: PR002 when it is too large, not UTF-8 or not YAML.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError("US002", f"cannot read {path.name}", why=error.strerror or "") from None
    if len(data) > MAX_CONFIG_BYTES:
        raise ProtocolError("PR002", f"{path.name} is larger than 8 MiB")
    try:
        return yaml.load(data.decode("utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 - safe subclass
    except UnicodeDecodeError:
        raise ProtocolError("PR002", f"{path.name} is not UTF-8 text") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        why = where + str(getattr(error, "problem", "") or "not YAML")
        raise ProtocolError("PR002", f"{path.name} is not valid YAML", why=why) from None


def load_study(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        ProtocolError: PR001 with every wrong field, PR002 when the text is not YAML.
    """
    return parse_model(
        Study, load_yaml(path), code="PR001", what=f"{path.name} is not a valid study"
    )


def parse_model(model: type[M], value: Json, *, code: str, what: str) -> M:
    """Check a JSON value against a model.

    Raises:
        ProtocolError: with the given code; `why` holds one line per wrong field.
    """
    try:
        return model.model_validate(value, strict=False)
    except ValidationError as error:
        problems = [_explain(model, dict(item)) for item in error.errors(include_url=False)]
        raise ProtocolError(code, what, why="\n".join(problems)) from None


def with_trust(study: Study, trust: TrustModel) -> Study:
    """Return the study under another trust model, its noise to be computed anew.

    Under `secure-sum` it holds against the coordinator and any one hospital together; a study that
    wants another number of colluding sites says so itself.

    Raises:
        ProtocolError: PR001 when the study does not fit the other trust model.
    """
    if study.privacy.trust_model == trust:
        return study
    value = study.as_json()
    colluding = 1 if trust == "secure-sum" else 0
    value["privacy"] |= {"trust_model": trust, "colluding_sites": colluding, "noise": None}
    if trust == "local":
        value["training"] |= {"ring_bits": 64}
    what = f"the study does not allow the trust model {trust}"
    return parse_model(Study, value, code="PR001", what=what)


def open_study(envelope: Envelope, trusted: tuple[PublicKey, ...]) -> Study:
    """Check a signed study against the trusted coordinator keys and return it.

    Guarantee: the returned study's digest is the digest that was signed.

    Raises:
        IntegrityError: IN001 when the signature does not fit.
        ProtocolError: PR003 when the signer is not trusted, PR001 when the study is not valid,
            PR007 when it carries no noise multipliers.
    """
    key = envelope.verify(STUDY_TYPE)
    if key not in trusted:
        raise ProtocolError("PR003", why=f"it was signed by key {key.fingerprint}")
    study = parse_model(Study, envelope.payload, code="PR001", what="the signed study is not valid")
    if study.digest != envelope.digest:
        raise ProtocolError("PR001", "the signed study is not in its canonical form")
    if study.privacy.noise is None:
        raise ProtocolError("PR007")
    return study


def _explain(model: type[BaseModel], problem: dict[str, Any]) -> str:
    location = problem["loc"]
    path = ".".join(str(part) for part in location if part not in _TAGS) or "(whole file)"
    reason = str(problem["msg"]).removeprefix("Value error, ")
    line = f"{path}: {reason[0].lower()}{reason[1:]}"
    example = _example(model, location)
    return f"{line}; for example {example}" if example else line


_TAGS = {"number", "category", "sequence", "series", "full", "poisson", "sgd", "adam"}
_TAGS |= {"dp-fedsgd", "dp-fedavg", "logistic", "mlp", "cnn1d", "transformer", "vae"}
_TAGS |= STRATEGY_NAMES


def _example(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    """Find the example of the field at a location by walking the model's JSON schema."""
    schema: dict[str, Any] = model.model_json_schema()
    root, node, name = schema, schema, ""
    for part in location:
        nodes = _follow(root, node, part)
        if not nodes:
            return ""
        node, name = nodes, str(part) if not isinstance(part, int) else name
    examples = node.get("examples") or _resolve(root, node).get("examples")
    return f"{name}: {examples[0]}" if examples else ""


def _follow(root: dict[str, Any], node: dict[str, Any], part: str | int) -> dict[str, Any]:
    for candidate in _variants(root, node):
        if isinstance(part, int) and "items" in candidate:
            return dict(candidate["items"])
        if part in candidate.get("properties", {}):
            return dict(candidate["properties"][part])
        if part in _TAGS:
            return node
    return {}


def _variants(root: dict[str, Any], node: dict[str, Any]) -> list[dict[str, Any]]:
    node = _resolve(root, node)
    options = node.get("oneOf") or node.get("anyOf") or node.get("allOf")
    if not options:
        return [node]
    return [variant for option in options for variant in _variants(root, option)]


def _resolve(root: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    if not reference:
        return node
    resolved: dict[str, Any] = root["$defs"][str(reference).rsplit("/", 1)[-1]]
    return resolved


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML loader that refuses a key written twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - yaml's signature
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is written twice", node.start_mark
                )
        result: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return result
