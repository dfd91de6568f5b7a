"""What `build --explain` prints."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def lines(explanation: dict[str, Any]) -> list[str]:
    found = ["", "Why each step ran:"]
    for step in explanation["steps"]:
        state = "cached" if step["cached"] else f"{step['seconds']:.1f} s"
        found.append(f"  {state:>8}  {' '.join(step['name'].split())}")
        found += [f"              because {reason}" for reason in step.get("reasons") or ()]
    advice = explanation.get("advice") or ()
    if advice:
        found += ["", "What would keep more of it cached:"]
        found += [f"  - {text}" for text in advice]
    return found
