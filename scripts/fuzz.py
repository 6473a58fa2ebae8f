"""Fuzz one target, guided by coverage, for some seconds. Needs atheris: pip install 'local-retab[fuzz]'.

What it finds is kept in the corpus folder. A file that breaks a target is written as crash-*: put it into
tests/fuzz_corpus/TARGET, where the tests run it, and mend the program.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("target", choices=["load", "layout", "schema", "partial", "request"])
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--corpus", type=Path, default=ROOT / ".fuzz", help="folder of what was found before")
    arguments = parser.parse_args()
    import atheris

    sys.path.insert(0, str(ROOT / "tests"))
    with atheris.instrument_imports(include=["local_retab"]):
        from fuzz_targets import TARGETS

        import local_retab.documents.office.hypertext
        import local_retab.documents.office.mail
        import local_retab.documents.office.opendocument
        import local_retab.documents.office.wordprocessing  # noqa: F401
    target = TARGETS[arguments.target]
    corpus = arguments.corpus / arguments.target
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = ROOT / "tests" / "fuzz_corpus" / arguments.target
    options = [f"-max_total_time={arguments.seconds}", "-timeout=30", "-rss_limit_mb=2048", "-max_len=20000"]
    options += [f"-artifact_prefix={corpus}/", "-print_final_stats=1", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus), *([str(seeds)] if seeds.is_dir() else [])], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
