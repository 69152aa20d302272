"""Check a certificate offline, against a repository and, if it is present, the session's ledger."""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from cockpit.certificate.body import FORMAT
from cockpit.certificate.sign import Certificate, CertificateError, read
from cockpit.core.metric import signed
from cockpit.core.paired_runs import paired_words
from cockpit.read.wording import count
from cockpit.session.event_stream import StreamDamaged, link_at
from cockpit.session.paths import SessionFolder
from cockpit.session.reader import LedgerReader
from cockpit.variant.errors import VariantError
from cockpit.variant.store import VariantStore


class Checked(msgspec.Struct, frozen=True):
    """The result of checking a valid certificate."""

    summary: str
    digest: str
    proves: list[str]
    does_not_prove: list[str]


def check(path: Path, repo: Path | None) -> Checked:
    """Check the certificate in a file. Raises CertificateError if it, the code or the ledger contradicts it."""
    found = read(path)
    try:
        return _checked(found, path, repo)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError, RecursionError):
        raise CertificateError(f"{path} is signed, but this cockpit cannot read it as a certificate: upgrade") from None


def _checked(found: Certificate, path: Path, repo: Path | None) -> Checked:
    body = found.body
    if body["format"] != FORMAT or isinstance(body["format"], bool):
        raise CertificateError(f"{path} is of format {body['format']!r}, and this cockpit reads {FORMAT}: upgrade")
    fingerprint = hashlib.sha256(body["key"].encode()).hexdigest()[:16]
    proves = [f"the file is as it was signed by the key {fingerprint}"]
    lacks: list[str] = []
    if repo is None:
        lacks.append("the code: no repository is here")
    elif not (named := _check_code(body, repo)):
        lacks.append("the code: the certificate has no hash of it")
    else:
        proves.append(f"commit {body['commit'][:12]} in {repo} holds {named} of its hashes")
    if _check_ledger(found, path):
        events = body["ledger"]["events"]
        proves.append(f"the session's ledger has the same {events} events, by their chain, and this digest after them")
    else:
        lacks.append("whose key it is: the session's ledger is not beside the file")
    if body["simulated"]:
        lacks.append("anything about training: the session was simulated")
    if body["rescore"] is None:
        lacks.append("the score: it is the word of its own runs")
    else:
        score = f"{_score(body['rescore'])} outside the run, {len(body['probes'])} probes passed"
        proves.append(f"its signer states that the scorer computed {score}")
    lacks += body["unchecked"]
    lacks.append("that the machine, its owner or its clock were honest: the signer could have run other software")
    return Checked(keep_summary(body), found.digest, proves, lacks)


def _check_code(body: dict[str, Any], repo: Path) -> str:
    """Compare the code of the commit with the hashes. Returns the files that have one, in words; empty for none."""
    store = None
    try:
        script = body.get("script", "train.py")
        prepare = (PurePosixPath(script).parent / "prepare.py").as_posix()
        store = VariantStore(repo, body["session"], files=body.get("files") or (script,))
        hashes = [(script, body["train_sha256"]), *body.get("files_sha256", {}).items()]
        hashes = [(name, wanted) for name, wanted in (*hashes, (prepare, body["prepare_sha256"])) if wanted]
        for name, wanted in hashes:
            if hashlib.sha256(store.source(body["commit"], name).encode()).hexdigest() != wanted:
                raise CertificateError(f"{name} of commit {body['commit'][:12]} in {repo} is not the certified one")
        return "the " + " and ".join(dict.fromkeys(name for name, _ in hashes)) if hashes else ""
    except VariantError as error:
        raise CertificateError(f"the certified code is not in {repo}: {error}") from error
    finally:
        if store is not None:
            store.close()


def _check_ledger(found: Certificate, path: Path) -> bool:
    """Compare the chain with the ledger of the session that holds the file. Returns False if there is none."""
    body = found.body
    folder = SessionFolder(path.resolve().parent.parent)
    if not folder.events.exists():
        return False
    missing = f"the ledger in {folder.root} does not hold the events that {path.name} was signed on"
    try:
        link = link_at(folder.events, body["ledger"]["events"]).hex()
    except StreamDamaged as error:
        raise CertificateError(f"{missing}: {error}") from None
    except OSError as error:
        raise CertificateError(f"the ledger in {folder.root} cannot be read: {error.strerror}") from None
    if link != body["ledger"]["link"]:
        raise CertificateError(missing)
    reader = LedgerReader(folder)
    try:
        recorded = reader.state().certificates.get(body["experiment"])
    finally:
        reader.close()
    if recorded != found.digest:
        raise CertificateError(f"the ledger in {folder.root} holds another certificate of {body['experiment']}")
    return True


def _score(rescore: dict[str, Any]) -> str:
    return f"{rescore['public_bpb']:.4f} on the public text and {rescore['sealed_bpb']:.4f} on the sealed shard"


def keep_summary(body: dict[str, Any]) -> str:
    """Return what was kept, on how many runs, in one line."""
    said = f"{body['experiment']} of session {body['session']}"
    one = body["estimate"]
    if one is None:
        return f"{said}, kept by {body['kept_by']} without an estimate"
    # certificates of earlier versions lack the number of pairs
    runs = f"{count(one['runs'], 'run')}{paired_words(one['runs'], one.get('pairs', 0))}"
    interval = f"[{signed(one['low'])}, {signed(one['high'])}]"
    return f"{said}: {signed(one['mean'])} {interval} against {one['against']} in {runs}"
