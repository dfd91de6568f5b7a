"""Examples in the help and the manual: (command line, what it does)."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "run": (
        ("argosy run -it --rm debian bash", "a shell in a container that goes when you leave it"),
        ("argosy run -d --name web -p 8080:80 nginx", "a web server at port 8080, in the background"),
        ("argosy run --rm -v .:/src -w /src node npm test", "a program on the files of this directory"),
        ("argosy run -d --restart unless-stopped -m 512m app", "a service with 512 MB that is kept running"),
        ("argosy run --rm --read-only --cap-drop ALL app", "a program that may change nothing"),
    ),
    "exec": (
        ("argosy exec -it web sh", "a shell in a container that runs"),
        ("argosy exec -u root -w /etc web ls", "a command as another user, elsewhere"),
    ),
    "ps": (
        ("argosy ps -a", "those that have stopped, too"),
        ("argosy ps --filter status=exited -q", "only the IDs of those that have ended"),
        ("argosy ps --format 'table {{.Names}}\\t{{.Ports}}'", "the columns that you want"),
    ),
    "images": (
        ("argosy images nginx", "the images of one repository"),
        ("argosy images --filter dangling=true -q", "the IDs of those without a name"),
    ),
    "logs": (
        ("argosy logs -f --tail 20 web", "the last lines, and what follows"),
        ("argosy logs --since 10m -t web", "ten minutes' worth, with the time of each line"),
    ),
    "cp": (
        ("argosy cp web:/etc/nginx .", "a directory out of a container"),
        ("argosy cp page.html web:/srv/", "a file into it"),
    ),
    "inspect": (
        ("argosy inspect -f '{{.State.Status}}' web", "one field"),
        ("argosy inspect -f '{{json .Mounts}}' web", "a part of it, as JSON"),
    ),
    "rm": (
        ("argosy rm -f web", "end it first, if it runs"),
        ("argosy rm -v old", "its anonymous volumes, too"),
    ),
    "stop": (("argosy stop -t 30 web", "give it half a minute to finish"),),
    "save": (("argosy save -o app.tar app:1 app:2", "two images in one archive"),),
    "load": (("argosy load -i app.tar", "the images of an archive"),),
    "update": (("argosy update -m 1g --memory-swap 2g web", "more memory, while it runs"),),
    "volume create": (
        ("argosy volume create data", "a volume that containers share by its name"),
        ("argosy volume create -o type=tmpfs -o device=tmpfs fast", "one in memory"),
    ),
    "system prune": (("argosy system prune --volumes", "everything that nothing uses, volumes too"),),
}
