"""One build, or the same one for several platforms: what fails for one of them fails for all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from argosy.build.builder import Build, Builder, Request, Result
from argosy.build.progress import Report
from argosy.build.solver import Outcome
from argosy.image import ImageRecord


@dataclass(frozen=True, slots=True)
class Made:
    """What a build came to: the target's layers, and its image if there was to be one."""

    build: Build
    outcome: Outcome
    image: ImageRecord | None

    @property
    def platform(self) -> str:
        assert self.build.graph is not None
        return self.build.graph.target.platform


DeliverAll = Callable[[Sequence[Made]], object]


class Several:
    """`cancel` may be called from any thread."""

    def __init__(
        self, builder: Builder, request: Request, report: Report, platforms: Sequence[str] = ()
    ) -> None:
        """Those of `platforms`, or the request's own."""
        self.builds: list[Build] = []
        for platform in platforms or [request.options.platform]:
            options = replace(request.options, platform=platform, is_one_of_several=len(platforms) > 1)
            first = self.builds[0] if self.builds else None
            self.builds.append(builder.begin(replace(request, options=options), report, first))

        alone = len(self.builds) == 1
        for context in request.contexts.values():
            # What steps for another platform take is not known yet.
            context.begin(self.first.progress, lambda: self.first.graph if alone else None)

    @property
    def first(self) -> Build:
        return self.builds[0]

    @property
    def remains(self) -> str:
        """The image of what a failed step has left."""
        return next((build.remains for build in self.builds if build.remains), "")

    def cancel(self) -> None:
        for build in self.builds:
            build.cancel()

    def run(self, deliver: DeliverAll) -> list[Result]:
        """`deliver` is given what all have made while it is certain to stay. Raises as `Build.run`."""
        return self._run(0, [], deliver)

    def _run(self, number: int, made: list[Made], deliver: DeliverAll) -> list[Result]:
        if number == len(self.builds):
            deliver(made)
            return []
        rest: list[Result] = []

        def go_on(build: Build, outcome: Outcome, image: ImageRecord | None) -> None:
            rest.extend(self._run(number + 1, [*made, Made(build, outcome, image)], deliver))

        return [self.builds[number].run(go_on), *rest]
