"""The options that `run` and `create` share; the text is their help and their grammar."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

GENERAL = """
      --name string                      Name of the container
      --pull string                      Pull the image first: always, missing, never (default "missing")
  -q, --quiet                            Don't show the progress of a pull
      --platform string                  Platform of the image, as os/arch
      --cidfile string                   Write the container's ID to this file
      --restart string                   When to start it again (default "no")
                                         no, always, unless-stopped, on-failure[:max]
      --rm                               Remove the container and its anonymous volumes when it exits
  -i, --interactive                      Keep stdin open
  -t, --tty                              Allocate a terminal
  -a, --attach stream                    Attach only to these of stdin, stdout, stderr

What it runs:
      --entrypoint string                Replace the image's entrypoint
  -e, --env variable                     Set an environment variable: NAME=VALUE, or NAME for the
                                         client's own value
      --env-file list                    Read environment variables from a file
  -u, --user string                      User and group: <name|uid>[:<group|gid>]
      --group-add list                   Join a further group
  -w, --workdir string                   Working directory
      --init                             Run a small init that forwards signals and reaps processes
      --stop-signal string               Signal that asks it to stop
      --stop-timeout int                 Seconds to wait for that before it is killed

Network:
      --network network                  Network to connect to; or name=NET,alias=…,ip=…
      --network-alias list               A further name on that network
  -p, --publish list                     Publish a port: [[address:]host:]container[/protocol]
  -P, --publish-all                      Publish every exposed port on a free one
      --expose list                      Expose a port or a range of ports
      --ip string                        IPv4 address
      --ip6 string                       IPv6 address
      --link-local-ip list               Link-local address
      --mac-address string               MAC address
  -h, --hostname string                  Host name
      --domainname string                NIS domain name
      --add-host host                    A line for /etc/hosts: name:address, or name:host-gateway
      --dns address                      DNS server
      --dns-option list                  Option for the resolver
      --dns-search domain                Search domain
      --link link                        Link to another container: name[:alias]

Files:
  -v, --volume list                      Mount a volume or a path: [source:]target[:options]
      --mount mount                      Mount: type=bind|volume|tmpfs|image,source=…,target=…
      --tmpfs list                       Mount a tmpfs: target[:options]
      --volumes-from list                Mount the volumes of another container
      --volume-driver string             Driver of the volumes that this creates
      --read-only                        Make the root filesystem read-only
      --shm-size bytes                   Size of /dev/shm
      --storage-opt list                 Option for the storage driver
      --device list                      Give it a device: host[:container[:rwm]]
      --device-cgroup-rule device-rule   Allow further devices: 'c 1:3 rwm'
      --gpus gpus                        Give it GPUs: all, a count, or device=…

Limits:
  -m, --memory bytes                     Memory
      --memory-reservation bytes         Memory to keep to when it is short
      --memory-swap swap                 Memory and swap together; -1 for unlimited swap
      --memory-swappiness int            Readiness to swap, 0 to 100 (default -1)
      --kernel-memory bytes              Accepted for compatibility
      --oom-kill-disable                 Don't kill it when memory runs out
      --oom-score-adj int                Likelihood to be killed, -1000 to 1000
      --cpus decimal                     CPU time, in CPUs
  -c, --cpu-shares int                   Relative weight
      --cpu-period int                   CFS period
      --cpu-quota int                    CFS quota
      --cpu-rt-period int                Real-time period in microseconds
      --cpu-rt-runtime int               Real-time runtime in microseconds
      --cpuset-cpus string               CPUs it may use: 0-3, 0,1
      --cpuset-mems string               Memory nodes it may use
      --pids-limit int                   Processes; -1 for unlimited
      --ulimit ulimit                    Resource limit: name=soft[:hard]
      --blkio-weight uint16              Block IO weight, 10 to 1000
      --blkio-weight-device weight       Block IO weight of a device
      --device-read-bps bps              Read rate of a device in bytes a second
      --device-read-iops iops            Read rate of a device in operations a second
      --device-write-bps bps             Write rate of a device in bytes a second
      --device-write-iops iops           Write rate of a device in operations a second
      --cgroup-parent string             Parent cgroup

Security and namespaces:
      --privileged                       Give it all privileges
      --cap-add list                     Add a capability
      --cap-drop list                    Drop a capability
      --security-opt list                no-new-privileges, seccomp=FILE, apparmor=PROFILE …
      --sysctl sysctl                    Kernel setting of its namespaces: name=value
      --cgroupns string                  Cgroup namespace: host, private
      --ipc string                       IPC namespace: host, private, shareable, container:NAME
      --pid string                       PID namespace: host, container:NAME
      --userns string                    User namespace: host
      --uts string                       UTS namespace: host
      --use-api-socket                   Mount the engine's socket at /var/run/docker.sock
      --runtime string                   OCI runtime
      --isolation string                 Accepted for compatibility

Health, logs, labels:
      --health-cmd string                Command that checks its health
      --health-interval duration         Time between checks
      --health-retries int               Failures in a row that make it unhealthy
      --health-start-period duration     Time to start before failures count
      --health-start-interval duration   Time between checks while it starts
      --health-timeout duration          Time for one check
      --no-healthcheck                   Disable the image's health check
      --log-driver string                Log driver
      --log-opt list                     Log driver option
  -l, --label label                      Label: name=value
      --label-file list                  Read labels from a file
      --annotation list                  Annotation for the OCI runtime
      --disable-content-trust            Accepted for compatibility (default true)
"""

# Docker's clients know them everywhere, and refuse them where the engine is not on Windows.
WINDOWS = """
      --cpu-count int                    CPUs
      --cpu-percent int                  Share of the CPUs
      --io-maxbandwidth bytes            Rate of the system drive in bytes a second
      --io-maxiops int                   Rate of the system drive in operations a second
"""

HIDDEN: Mapping[str, str] = {"net": "network", "net-alias": "network-alias", "dns-opt": "dns-option"}
