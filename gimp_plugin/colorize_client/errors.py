"""What can go wrong between the user and the colour service: one tree, one sentence per code.

    ColorizeError
    ├── ServiceError                the service cannot be reached or went away
    │   ├── ServiceNotRunning       service-not-running
    │   ├── ServiceNotInstalled     service-not-installed
    │   ├── LaunchFailed            launch-failed
    │   ├── ServiceLost             service-lost
    │   ├── ServiceSilent           service-silent
    │   ├── ServiceStopping         service-stopping
    │   ├── AlreadyRunning          already-running
    │   ├── UnsafePlace             unsafe-place
    │   ├── NoPlace                 no-place
    │   └── NotAllowed              not-allowed
    ├── ProtocolError               the two sides do not understand each other
    │   ├── VersionMismatch         version-mismatch
    │   ├── BadMessage              bad-message
    │   ├── UnknownType             unknown-type
    │   └── BadReply                bad-reply
    ├── RequestError                the service understood and refused
    │   ├── BadPicture              bad-picture
    │   ├── KeyMismatch             key-mismatch
    │   ├── BadHints                bad-hints
    │   ├── BadOptions              bad-options
    │   ├── TooLarge                too-large
    │   ├── UnknownModel            unknown-model
    │   ├── NoWeights               no-weights
    │   ├── BadWeights              bad-weights
    │   ├── NoDevice                no-device
    │   ├── Busy                    busy
    │   ├── OutOfMemory             out-of-memory
    │   ├── SlowReader              slow-reader
    │   └── InternalError           internal
    └── Cancelled                   cancelled

`str(error)` is the sentence for the user and ends with what to do; `error.detail` says what exactly was wrong, in the
words of whoever found it. Codes travel over the wire (daemon/PROTOCOL.md) and are never renamed.
"""

from __future__ import annotations


class ColorizeError(Exception):
    """Any failure of the colour service.

    Attributes:
        code: the name of this kind of failure, stable across versions.
        sentence: one sentence for the user, ending with what to do.
        detail: what exactly was wrong; may be empty, may have several lines.
    """

    code = "error"
    sentence = "The colour service failed; run the command again, and report it if it happens twice."

    def __init__(self, detail: str = "", *, code: str | None = None, sentence: str | None = None) -> None:
        self.detail = detail
        self.code = code or type(self).code
        self.sentence = sentence or type(self).sentence
        super().__init__(self.sentence)

    def report(self) -> str:
        """The sentence and, below it, the detail: for logs and for reports that the user copies."""
        return f"{self.sentence}\n{self.detail}" if self.detail else self.sentence


class ServiceError(ColorizeError):
    """The service cannot be reached or went away."""


class ServiceNotRunning(ServiceError):
    code = "service-not-running"
    sentence = "The colour service is not running; start it with “gimp-colorize-daemon”."


class ServiceNotInstalled(ServiceError):
    code = "service-not-installed"
    sentence = "The colour service was not found on this computer; run install.sh again."


class LaunchFailed(ServiceError):
    code = "launch-failed"
    sentence = "The colour service could not be started; run install.sh again, and read its log if that does not help."


class ServiceLost(ServiceError):
    code = "service-lost"
    sentence = "The colour service stopped in the middle of the work; run the command again and it is restarted."


class ServiceSilent(ServiceError):
    code = "service-silent"
    sentence = "The colour service does not answer; stop it with “gimp-colorize stop”, then run the command again."


class ServiceStopping(ServiceError):
    code = "service-stopping"
    sentence = "The colour service was stopped before the work was done; run the command again."


class AlreadyRunning(ServiceError):
    code = "already-running"
    sentence = "Another colour service of yours is running already; stop it first with “gimp-colorize stop”."


class UnsafePlace(ServiceError):
    code = "unsafe-place"
    sentence = "The colour service's folder is not private to you, so it was not used; correct its owner and mode."


class NoPlace(ServiceError):
    code = "no-place"
    sentence = "The colour service found no folder for its socket; set GIMP_COLORIZE_STATE to a short path of yours."


class NotAllowed(ServiceError):
    code = "not-allowed"
    sentence = "The colour service refused this connection; check the keys on both sides."


class ProtocolError(ColorizeError):
    """The two sides do not understand each other."""


class VersionMismatch(ProtocolError):
    code = "version-mismatch"
    sentence = "This program and the colour service differ in version; run install.sh, then “gimp-colorize stop”."


class BadMessage(ProtocolError):
    code = "bad-message"
    sentence = "The colour service could not read the request; run install.sh so that both sides are of one version."


class UnknownType(ProtocolError):
    code = "unknown-type"
    sentence = "The colour service does not know this kind of request; run install.sh, then “gimp-colorize stop”."


class BadReply(ProtocolError):
    code = "bad-reply"
    sentence = "The colour service sent an answer that makes no sense; restart it with “gimp-colorize stop”."


class RequestError(ColorizeError):
    """The service understood the request and refused it."""


class BadPicture(RequestError):
    code = "bad-picture"
    sentence = "The picture cannot be coloured because its size or pixels are not usable; check the layer or file."


class KeyMismatch(RequestError):
    code = "key-mismatch"
    sentence = "The picture changed while it was sent to the colour service; run the command again."


class BadHints(RequestError):
    code = "bad-hints"
    sentence = "The colour hints do not fit the picture; check that the hint layer lies over the photograph."


class BadOptions(RequestError):
    code = "bad-options"
    sentence = "An option is out of its range; reset the options and run the command again."


class TooLarge(RequestError):
    code = "too-large"
    sentence = "The picture is larger than the colour service accepts; scale it to at most 400 megapixels."


class UnknownModel(RequestError):
    code = "unknown-model"
    sentence = "The chosen model is not installed; choose one that “gimp-colorize models” lists."


class NoWeights(RequestError):
    code = "no-weights"
    sentence = "The colour service has no model to work with; run install.sh again."


class BadWeights(RequestError):
    code = "bad-weights"
    sentence = "The model's file is damaged; run install.sh again, or choose another model."


class NoDevice(RequestError):
    code = "no-device"
    sentence = "This computer cannot use the device that the colour service was given; start it with --device auto."


class Busy(RequestError):
    code = "busy"
    sentence = "The colour service has too much work waiting; wait for it and run the command again."


class OutOfMemory(RequestError):
    code = "out-of-memory"
    sentence = "There is not enough memory for this picture; close other programs or scale the picture down."


class SlowReader(RequestError):
    code = "slow-reader"
    sentence = "The coloured picture was not taken in time, so the work was stopped; run the command again."


class InternalError(RequestError):
    code = "internal"
    sentence = "The colour service met an internal error; run the command again, and report it with the service's log."


class Cancelled(ColorizeError):
    code = "cancelled"
    sentence = "The work was cancelled; run the command again when you want it."


def _tree(root: type[ColorizeError]) -> list[type[ColorizeError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _tree(child))]


BY_CODE: dict[str, type[ColorizeError]] = {kind.code: kind for kind in _tree(ColorizeError) if "code" in vars(kind)}
SENTENCES: dict[str, str] = {code: kind.sentence for code, kind in BY_CODE.items()}


def from_code(code: str, detail: str = "", sentence: str = "") -> ColorizeError:
    """The error for a code that came over the wire; an unknown one keeps the sentence that came with it."""
    kind = BY_CODE.get(code)
    if kind is None:
        return RequestError(detail, code=code, sentence=sentence or None)
    return kind(detail)
