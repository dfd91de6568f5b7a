"""What a build attests of its result, as in-toto statements: how it was made, and what is in it.

    asked        what the user wants attested
    provenance   SLSA provenance: from the build's graph to a predicate
    definition   the build's steps in it, for mode=max
    sbom         an SPDX document: from a root file system to a predicate
    tree         looking into that root, which belongs to nobody that we trust
    packages     the databases of package managers; rpm, one of them
    purl         names of images and packages as URLs
    statement    predicates about subjects
    collect      what of all that a build has to say
    deliver      its statements about an output

Nothing here changes what is built.
"""
