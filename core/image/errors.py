"""What can go wrong with an image, one class per kind that a caller treats differently.

ProblemError (benchmark.errors)
├── InputError
│   ├── ImageNameError          no such name can be an image's
│   ├── SourceError             the Dockerfile or the benchmark's files are not there
│   └── CredentialsError        the Docker config or its credential helper cannot be used
└── WorkError
    └── ImageError
        ├── EngineError         no container engine answers, or we may not use it
        ├── NoSpaceError        the engine's disk is full
        ├── BuildError          a step of the Dockerfile failed
        ├── BaseImageError      the base image cannot be had
        ├── RefusedError        the registry does not let us
        │   └── NoRepositoryError   because there is no such repository
        ├── RegistryError       the registry cannot be reached, or is not well
        └── ImageNotFoundError  the registry has no such image
"""

from __future__ import annotations

from benchmark.errors import InputError, WorkError


class ImageNameError(InputError):
    """What was given is no name of an image."""


class SourceError(InputError):
    """What the image is built from is not there."""


class CredentialsError(InputError):
    """The Docker config, or a credential helper that it names, cannot be used."""


class ImageError(WorkError):
    """The image could not be built, found or pushed."""


class EngineError(ImageError):
    """No container engine answers, or this user may not use it, or it ended under way."""


class NoSpaceError(ImageError):
    """The engine's disk is full."""


class BuildError(ImageError):
    """A step of the Dockerfile failed."""


class BaseImageError(ImageError):
    """The image to build on cannot be pulled."""


class RefusedError(ImageError):
    """The registry does not let these credentials, or this image, in."""


class NoRepositoryError(RefusedError):
    """The registry has no such repository, and makes none by itself."""


class RegistryError(ImageError):
    """The registry gave no usable answer after a few tries."""


class ImageNotFoundError(ImageError):
    """The registry has no such image."""
