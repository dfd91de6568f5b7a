"""BuildKit's protocol, which docker build, buildx and Compose speak: gRPC on `/grpc` and `/session`.

    connection    gRPC calls on one hijacked connection, either way round, on top of h2
    session       what a client offers to a build: files, secrets, agents, credentials
    transfer      fsutil's protocol, by which directories travel
    sending       its sending end
    trees         directories that were received, kept for the next build
    attributes    a frontend's attributes → what the builder is asked for
    job           one build, from the request to what it exports
    status        the builder's events → the progress that clients show
    control, gateway, usage    the services

Nothing of it is imported before the first client comes.
"""
