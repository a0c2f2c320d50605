"""Every error that mixgrid raises on purpose, drawn as a tree.

    MixgridError
    ├── InputError            the user's input is wrong: the command ends with status 2
    │   ├── StudyError        a study file or a command-line choice
    │   ├── SourceError       a dataset that cannot be read or is not what was declared
    │   ├── AnswersError      answers made elsewhere, given to `mixgrid grade` or to a judge
    │   └── JudgeError        no judge can be asked: no key, a wrong one, no such model, no money left
    ├── IdentityError         a value without a stable form was about to enter a key
    ├── StoreError            the store cannot be read or written
    │   ├── StoreAway         it was asked for as long as was allowed; it may answer later
    │   └── DamagedArtifact   a file is not what its record says; it is made again, never used
    └── StepError             a step failed; the rest of the grid goes on
        └── NoSandbox         generated programs cannot be checked on this machine
        └── GenerationError   a server refused to answer, or kept failing

A message says what was wrong, the value, what is allowed and what to do.
"""


class MixgridError(Exception):
    """Base of all errors that mixgrid raises on purpose."""


class InputError(MixgridError):
    """The user's input is wrong; the command line ends with status 2 and no traceback."""


class StudyError(InputError):
    """A study file, or a choice made on the command line, is wrong."""


class SourceError(InputError):
    """A dataset cannot be read, or is not what was declared."""


class AnswersError(InputError):
    """Answers that were made elsewhere cannot be graded or judged."""


class JudgeError(InputError):
    """No judge can be asked: the key, the model, the address or the account is at fault, not an answer."""


class IdentityError(MixgridError):
    """A value without a stable form was about to enter a key."""


class StoreError(MixgridError):
    """The store cannot be read or written."""


class StoreAway(StoreError):
    """The store did not answer, or was too busy, for as long as it was asked; later it may."""


class DamagedArtifact(StoreError):
    """A file is missing or differs from its record.

    `folder` is the artifact's, such as `sft/lab.small+lab.math_1-0123456789abcdef`.
    """

    def __init__(self, folder: str, detail: str) -> None:
        super().__init__(f"{folder}: {detail}; it will be made again")
        self.folder = folder
        self.detail = detail

    def __reduce__(self) -> tuple[type["DamagedArtifact"], tuple[str, str]]:
        return type(self), (self.folder, self.detail)  # it travels between processes


class StepError(MixgridError):
    """A step failed; what depends on it cannot run, the rest of the grid goes on."""


class NoSandbox(StepError):
    """No sandbox works on this machine, so that no generated program is run; the benchmark has no score."""


class GenerationError(StepError):
    """A server refused to answer a prompt, or kept failing."""
