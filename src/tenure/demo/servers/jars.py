"""Neo4j Community as Maven artifacts: found by jgo, kept in the local Maven cache, listed once per version."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tenure.errors import ServerDownloadError

# Two artifacts: neo4j-server alone has no main class, neo4j alone no Bolt server.
COORDINATES = "org.neo4j:neo4j:{version}+org.neo4j.app:neo4j-server:{version}"
SOURCE = "Maven Central"


def neo4j_jars(version: str, progress: Callable[[str], None]) -> list[Path]:
    """Return the jars of Neo4j *version*, downloading what is missing (about 130 MB the first time).

    Args:
        version: Such as ``5.26.30``.
        progress: Told what happens, in short lines.

    Raises:
        ServerDownloadError: when a jar cannot be had.
    """
    listing = _cache_directory() / f"neo4j-{version}.json"
    with contextlib.suppress(FileNotFoundError, ValueError):
        known = [Path(name) for name in json.loads(listing.read_text())]
        if known and all(path.exists() for path in known):
            return known
    listing.parent.mkdir(parents=True, exist_ok=True)
    with (listing.parent / "download.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # jgo does not expect another process at the same cache
        jars = _whole_jars(version, progress)
    temporary = listing.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps([str(path) for path in jars]))
    temporary.replace(listing)
    return jars


def _whole_jars(version: str, progress: Callable[[str], None]) -> list[Path]:
    jars = _download(version, progress)
    broken = [path for path in jars if not zipfile.is_zipfile(path)]
    if broken:  # an earlier download was killed in the middle of a file, which the cache cannot tell from a whole one
        for path in broken:
            _forget(path)
        jars = _download(version, progress)
    still_broken = [path.name for path in jars if not zipfile.is_zipfile(path)]
    if still_broken:
        problem = f"damaged: {', '.join(still_broken)}"
        raise ServerDownloadError(server=f"Neo4j {version}", problem=problem, source=SOURCE)
    return jars


def _cache_directory() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "tenure"


def _forget(jar: Path) -> None:
    """Remove *jar* from jgo's environment and from the Maven cache that it links to."""
    repository = Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")
    for twin in repository.rglob(jar.name):
        twin.unlink(missing_ok=True)
    jar.unlink(missing_ok=True)


def _download(version: str, progress: Callable[[str], None]) -> list[Path]:
    try:
        import jgo
        from jgo.maven import PythonResolver
    except ImportError as error:
        problem = "the package jgo is not installed (pip install 'tenure[demo]')"
        raise ServerDownloadError(server=f"Neo4j {version}", problem=problem, source="the package index") from error

    class CountingResolver(PythonResolver):
        """Tells how far the download is, and leaves no half file behind when it is interrupted."""

        jars = 0
        descriptions = 0

        def download(self, artifact: Any) -> Path | None:
            """Fetch one file."""
            if artifact.filename.endswith(".jar"):
                self.jars += 1
                progress(f"downloading Neo4j {version}: jar {self.jars} of about 220, {artifact.filename}")
            else:
                self.descriptions += 1
                progress(f"resolving Neo4j {version}: {self.descriptions} of about 320 descriptions")
            try:
                path: Path | None = super().download(artifact)
            except BaseException:
                if artifact.cached_path is not None:
                    artifact.cached_path.unlink(missing_ok=True)
                raise
            return path

    progress(f"resolving Neo4j {version}")
    try:
        # update: an environment that was killed while it was built looks whole to jgo. Downloaded files are used again.
        environment = jgo.build(COORDINATES.format(version=version), resolver=CountingResolver(), update=True)
    except (OSError, RuntimeError, ValueError, KeyError) as error:  # requests' errors are OSErrors
        problem = " ".join(str(error).split())[:300]
        raise ServerDownloadError(server=f"Neo4j {version}", problem=problem, source=SOURCE) from error
    return [Path(jar) for jar in environment.all_jars]
