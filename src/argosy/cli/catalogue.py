"""Every command: where its module is and, for the overview, what it does."""

from __future__ import annotations

# verb → (module below argosy.cli, summary)
TOP: dict[str, tuple[str, str]] = {
    "run": ("container.run", "Create and run a new container from an image"),
    "exec": ("container.exec", "Execute a command in a running container"),
    "ps": ("container.ls", "List containers"),
    "pull": ("image.pull", "Download an image from a registry"),
    "push": ("image.push", "Upload an image to a registry"),
    "images": ("image.ls", "List images"),
    "build": ("image.build", "Build an image from a Dockerfile"),
    "version": ("system.version", "Show the version of the client and of the engine"),
    "info": ("system.info", "Display system-wide information"),
    "attach": ("container.attach", "Attach the terminal to a running container"),
    "commit": ("container.commit", "Create a new image from a container's changes"),
    "completion": ("system.completion", "Print what makes a shell complete commands"),
    "cp": ("container.cp", "Copy files between a container and the local filesystem"),
    "create": ("container.create", "Create a new container"),
    "diff": ("container.diff", "Inspect changes to a container's filesystem"),
    "events": ("system.events", "Get real time events from the engine"),
    "export": ("container.export", "Export a container's filesystem as a tar archive"),
    "history": ("image.history", "Show the history of an image"),
    "import": ("image.import_", "Create a filesystem image from a tarball"),
    "inspect": ("system.inspect", "Return low-level information on any object"),
    "kill": ("container.kill", "Kill one or more running containers"),
    "load": ("image.load", "Load an image from a tar archive or stdin"),
    "login": ("system.login", "Log in to a registry"),
    "logout": ("system.logout", "Log out from a registry"),
    "logs": ("container.logs", "Fetch the logs of a container"),
    "pause": ("container.pause", "Pause all processes within one or more containers"),
    "port": ("container.port", "List port mappings of a container"),
    "rename": ("container.rename", "Rename a container"),
    "restart": ("container.restart", "Restart one or more containers"),
    "rm": ("container.rm", "Remove one or more containers"),
    "rmi": ("image.rm", "Remove one or more images"),
    "save": ("image.save", "Save one or more images to a tar archive"),
    "search": ("image.search", "Search a registry for images"),
    "start": ("container.start", "Start one or more stopped containers"),
    "stats": ("container.stats", "Display resource usage statistics of containers"),
    "stop": ("container.stop", "Stop one or more running containers"),
    "tag": ("image.tag", "Create a tag that refers to an image"),
    "top": ("container.top", "Display the running processes of a container"),
    "unpause": ("container.unpause", "Unpause all processes within one or more containers"),
    "update": ("container.update", "Update the configuration of one or more containers"),
    "wait": ("container.wait", "Block until containers stop, then print their exit codes"),
}
COMMON = ("run", "exec", "ps", "build", "pull", "push", "images", "version", "info")

_OF_CONTAINERS = (
    "attach commit cp create diff exec export kill logs pause port rename restart rm run start stats stop"
    " top unpause update wait"
).split()
_OF_IMAGES = "build history import load pull push save tag".split()

GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "container": {
        **{verb: TOP[verb] for verb in _OF_CONTAINERS},
        "inspect": ("container.inspect", "Display detailed information on one or more containers"),
        "ls": TOP["ps"],
        "prune": ("container.prune", "Remove all stopped containers"),
    },
    "builder": {
        "build": TOP["build"],
        "du": ("builder.du", "Show what the build cache takes"),
        "history": ("builder.history", "List past builds, with their steps, times and logs"),
        "prune": ("builder.prune", "Remove build cache"),
    },
    "context": {
        "create": ("contexts.create", "Create a context"),
        "export": ("contexts.export", "Export a context to an archive"),
        "import": ("contexts.import_", "Import a context from an archive"),
        "inspect": ("contexts.inspect", "Display detailed information on one or more contexts"),
        "ls": ("contexts.ls", "List contexts"),
        "rm": ("contexts.rm", "Remove one or more contexts"),
        "show": ("contexts.show", "Print the name of the current context"),
        "update": ("contexts.update", "Update a context"),
        "use": ("contexts.use", "Set the current context"),
    },
    "image": {
        **{verb: TOP[verb] for verb in _OF_IMAGES},
        "inspect": ("image.inspect", "Display detailed information on one or more images"),
        "ls": TOP["images"],
        "prune": ("image.prune", "Remove unused images"),
        "rm": TOP["rmi"],
    },
    "manifest": {
        "annotate": ("manifest.annotate", "Say for which platform an image of a list is"),
        "create": ("manifest.create", "Make a manifest list of images at a registry"),
        "inspect": ("manifest.inspect", "Display an image's manifest, or a manifest list"),
        "push": ("manifest.push", "Push a manifest list to its repository"),
        "rm": ("manifest.rm", "Delete local manifest lists"),
    },
    "network": {
        "connect": ("network.connect", "Connect a container to a network"),
        "create": ("network.create", "Create a network"),
        "disconnect": ("network.disconnect", "Disconnect a container from a network"),
        "inspect": ("network.inspect", "Display detailed information on one or more networks"),
        "ls": ("network.ls", "List networks"),
        "prune": ("network.prune", "Remove all unused networks"),
        "rm": ("network.rm", "Remove one or more networks"),
    },
    "system": {
        "check": ("system.check", "Check the image store for damage"),
        "df": ("system.df", "Show disk usage"),
        "events": TOP["events"],
        "info": TOP["info"],
        "prune": ("system.prune", "Remove unused data"),
        "start": ("system.start", "Start the engine"),
        "status": ("system.status", "Show whether the engine runs"),
        "stop": ("system.stop", "Stop the engine"),
    },
    "volume": {
        "create": ("volume.create", "Create a volume"),
        "inspect": ("volume.inspect", "Display detailed information on one or more volumes"),
        "ls": ("volume.ls", "List volumes"),
        "prune": ("volume.prune", "Remove unused local volumes"),
        "rm": ("volume.rm", "Remove one or more volumes"),
    },
}
GROUP_SUMMARIES = {
    "builder": "Manage builds",
    "container": "Manage containers",
    "context": "Manage contexts: names for engines",
    "image": "Manage images",
    "manifest": "Manage manifests and lists of them",
    "network": "Manage networks",
    "system": "Manage the engine",
    "volume": "Manage volumes",
}

# Other words for the same verb inside a group.
VERB_ALIASES = {
    ("container", "list"): "ls",
    ("container", "ps"): "ls",
    ("container", "remove"): "rm",
    ("context", "list"): "ls",
    ("context", "remove"): "rm",
    ("image", "list"): "ls",
    ("image", "remove"): "rm",
    ("network", "list"): "ls",
    ("network", "remove"): "rm",
    ("volume", "list"): "ls",
    ("volume", "remove"): "rm",
}
