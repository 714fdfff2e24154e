"""What an export costs is counted and judged as documented; the exports themselves are pretended."""

import json

from benchmarks import export_speed
from benchmarks.export_speed import main, too_slow


def row(seconds, bundles=1, cached=0):
    return {"export": "x", "seconds": seconds, "cpu_s": 1.0, "bundles": bundles, "cached": cached}


def test_limits():
    assert not too_slow([row(24.0), row(2.9, cached=1)])
    assert too_slow([row(26.0), row(2.9, cached=1)])
    assert too_slow([row(24.0), row(3.1, cached=1)])
    assert too_slow([row(24.0), row(2.0, cached=0)]), "unchanged, and yet made"
    assert not too_slow([row(239.0, 12), row(2.0, 12, 12)])


def test_three_exports_and_a_table(monkeypatch, capsys):
    """The third finds no bundle in the cache, but its artifacts."""
    seen = []

    def pretend(what, options, cache, dist):
        seen.append((what, sorted(p.name for p in cache.iterdir()) if cache.is_dir() else [], options))
        for name, file in (("bundle", "bundle.json"), ("artifact", "model.pte")):
            (cache / name / "content").mkdir(parents=True, exist_ok=True)
            (cache / name / "content" / file).write_text("x")
        return row(2.0, cached=int(what == "unchanged"))

    monkeypatch.setattr(export_speed, "export", pretend)
    assert main(["--model", "saliency", "--jobs", "2", "--check"]) == 0
    assert [entry[:2] for entry in seen] == [
        ("cold", []),
        ("unchanged", ["artifact", "bundle"]),
        ("proved again", ["artifact"]),
    ]
    assert seen[0][2] == ["--target", "ios", "--precision", "default", "--model", "saliency", "--jobs", "2"]
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 4 and max(map(len, out.splitlines())) <= 100
    assert main(["--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["exports"]) == 3
