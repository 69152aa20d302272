"""Sign the certificate of a keep exactly once, also after a kill of the worker."""

from cockpit.certificate.body import body
from cockpit.certificate.sign import CertificateError, public_text, read, session_key, sign, write
from cockpit.core.state import State
from cockpit.variant.errors import VariantError
from cockpit.worker.parts import WorkerParts
from cockpit.worker.shortage import lacks_room


def certify(parts: WorkerParts, state: State) -> tuple[str, str]:
    """Write the certificate of the newest keep, and note its digest on the commit. Returns (digest, problem).

    A certificate that an earlier worker has written stays: a kill came before its digest was in the ledger.
    """
    experiment = state.experiments[state.incumbencies[-1].experiment]
    path = parts.folder.certificate(experiment.id)
    try:
        if path.exists():
            found = read(path)
        else:
            key = session_key(parts.folder.certificate_key)
            link = parts.ledger.last_link().hex()
            found = sign(body(state, parts.ledger.last_seq(), link, public_text(key)), key)
            write(path, found)
    except (OSError, CertificateError) as error:
        if lacks_room(error):
            raise
        return "", f"{experiment.id} has no certificate: {error}"
    try:
        parts.store.note(experiment.commit, f"cockpit certificate {found.digest} of {experiment.id}")
    except VariantError as error:
        if lacks_room(error):
            raise
        return found.digest, f"the certificate of {experiment.id} is not noted on its commit: {error}"
    return found.digest, ""
