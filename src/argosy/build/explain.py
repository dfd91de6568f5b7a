"""Why each step of a build ran, against the build before, and how more could have stayed cached. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from argosy.build.past import Past, PastStep, instruction_of, named

_MOST_NAMED = 5
_WORTH_A_WORD = 0.5
# Commands that read nothing of the context, and what others need of it.
_SYSTEM_PACKAGES = re.compile(r"\b(apt-get|apt|apk|dnf|yum|microdnf|zypper|pacman)\b")
_NEEDS = (
    (re.compile(r"\b(npm|pnpm|yarn|bun)\b"), "package*.json and the lock file"),
    (re.compile(r"\b(pip3?|uv|poetry|pipenv)\b"), "requirements.txt or pyproject.toml and the lock file"),
    (re.compile(r"\bgo mod\b"), "go.mod and go.sum"),
    (re.compile(r"\bcargo\b"), "Cargo.toml and Cargo.lock"),
    (re.compile(r"\b(bundle|gem)\b"), "Gemfile and Gemfile.lock"),
    (re.compile(r"\bcomposer\b"), "composer.json and composer.lock"),
    (re.compile(r"\bmvn\b"), "pom.xml"),
)

# A digest of a selection of files → digests by path, None if it is not known any more.
Listing = Callable[[str], Mapping[str, str] | None]


class StepExplanation(msgspec.Struct, rename="camel", omit_defaults=True):
    """`reasons` is empty for a step that was cached."""

    name: str
    line: int
    seconds: float
    cached: bool
    reasons: list[str] = []


class Explanation(msgspec.Struct, rename="camel", omit_defaults=True):
    steps: list[StepExplanation]
    advice: list[str] = []


def explain(now: Sequence[PastStep], before: Past | None, listing: Listing, *, forced: bool) -> Explanation:
    """`forced`: the cache was not to be used."""
    steps = [step for step in now if step.parts]
    earlier = [step for step in before.steps if step.parts] if before is not None else []
    found = []
    for position, step in enumerate(steps):
        reasons: list[str] = []
        if not step.cached:
            reasons = _reasons(step, named(earlier, step.name, position), steps, listing, forced=forced)
        found.append(StepExplanation(step.name, step.line, step.seconds, step.cached, reasons))
    return Explanation(found, _advice(steps, earlier, listing) if before is not None else [])


def _reasons(
    step: PastStep, old: PastStep | None, steps: Sequence[PastStep], listing: Listing, *, forced: bool
) -> list[str]:
    if forced:
        return ["the cache was not to be used"]
    if old is None:
        return ["nothing like it was built before"]
    if old.parts == step.parts:
        return ["its result is no longer in the cache"]
    found = _differences(step.details, old.details)
    if step.parts.get("files") != old.parts.get("files"):
        found += _files(step, old, listing)
    if step.parts.get("fetched") != old.parts.get("fetched"):
        found.append("what it fetches has changed")
    if step.parts.get("epoch") != old.parts.get("epoch"):
        found.append("SOURCE_DATE_EPOCH has changed")
    if step.parts.get("base") != old.parts.get("base"):
        found.append(_parent(step, steps))
    others = [key for key in step.parts if key.startswith(("from", "mount"))]
    if any(step.parts[key] != old.parts.get(key) for key in others):
        found.append("the stage or directory that it takes files from has changed")
    return found or ["its definition has changed"]


def _differences(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    found = []
    for name in dict.fromkeys([*old, *new]):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        shown = f"variable {name[1:]}" if name.startswith("$") else name
        if was is None:
            found.append(f"{shown} is new: {now!r}")
        elif now is None:
            found.append(f"{shown} is gone: it was {was!r}")
        else:
            found.append(f"{shown} was {was!r}, is {now!r}")
    return found


def changed_files(step: PastStep, old: PastStep, listing: Listing) -> list[str] | None:
    """What happened to which file; None if that is not known any more."""
    now, was = listing(step.parts.get("files", "")), listing(old.parts.get("files", ""))
    if now is None or was is None:
        return None
    changed = [f"{path} changed" for path in sorted(now) if path in was and now[path] != was[path]]
    new = [f"{path} is new" for path in sorted(now) if path not in was]
    gone = [f"{path} is gone" for path in sorted(was) if path not in now]
    return changed + new + gone


def _files(step: PastStep, old: PastStep, listing: Listing) -> list[str]:
    files = changed_files(step, old, listing)
    if not files:
        return ["the files that it copies have changed"]
    more = len(files) - _MOST_NAMED
    return [*files[:_MOST_NAMED], *([f"and {more} more files"] if more > 0 else [])]


def _parent(step: PastStep, steps: Sequence[PastStep]) -> str:
    """The nearest step before it in its stage that ran, or else its base image."""
    base = step.parts.get("base", "")
    for each in reversed(steps[: steps.index(step)]):
        if not each.cached and each.stage == step.stage:
            line = f"line {each.line}: " if each.line else ""
            return f"a step before it ran ({line}{_short(instruction_of(each.name))})"
    return "the image that it stands on has changed" if base else "what it stands on has changed"


def _advice(steps: Sequence[PastStep], earlier: Sequence[PastStep], listing: Listing) -> list[str]:
    found = []
    for position, step in enumerate(steps):
        old = named(earlier, step.name, position)
        if step.cached or old is None:
            continue
        later = [s for s in steps[position + 1 :] if s.stage == step.stage and not s.cached and _is_run(s)]
        if step.parts.get("files") != old.parts.get("files"):
            found += [_moved(step, each) for each in later if _could_move(each)]
        found += _needless_variables(step, old)
    return list(dict.fromkeys(text for text in found if text))


def _is_run(step: PastStep) -> bool:
    return "command" in step.details


def _could_move(step: PastStep) -> bool:
    command = step.details["command"]
    known = _SYSTEM_PACKAGES.search(command) or any(pattern.search(command) for pattern, _ in _NEEDS)
    return step.seconds >= _WORTH_A_WORD and bool(known)


def _moved(copy: PastStep, run: PastStep) -> str:
    command = run.details["command"]
    saved = f"that would have saved {run.seconds:.1f} s"
    what = f"line {run.line} ({_short(instruction_of(run.name))})"
    where = f"line {copy.line} ({_short(instruction_of(copy.name))})"
    if _SYSTEM_PACKAGES.search(command):
        return f"{what} reads none of your files: put it above {where}; {saved}"
    needed = next(files for pattern, files in _NEEDS if pattern.search(command))
    return f"{what} needs only {needed}: copy these alone, run it, and have {where} after it; {saved}"


def _needless_variables(step: PastStep, old: PastStep) -> list[str]:
    """Variables that changed and that the command does not name."""
    if not _is_run(step) or step.details["command"] != old.details.get("command"):
        return []
    variables = [name for name in step.details if name.startswith("$")]
    changed = [name[1:] for name in variables if step.details[name] != old.details.get(name)]
    command = step.details["command"]
    is_named = any(re.search(rf"\b{re.escape(name)}\b", command) for name in changed)
    if not changed or is_named or step.parts.get("base") != old.parts.get("base"):
        return []
    names = ", ".join(changed)
    return [
        f"line {step.line} ({_short(instruction_of(step.name))}) ran only for {names}, which it does not "
        f"name: put ARG or ENV {names} below it; that would have saved {step.seconds:.1f} s"
    ]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 50 else f"{text[:47]}..."
