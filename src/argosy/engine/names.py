"""Names for containers whose user gave none: something that floats, and how."""

import secrets

_HOW = (
    "able amber ample azure bold brave breezy bright brisk calm clear coastal coral crisp daring deep "
    "eager early easy fair faithful fast fearless fleet fond free fresh gallant gentle glad golden grand "
    "handy hardy honest humble jaunty jolly keen kind lively loyal lucky mellow merry mighty misty nimble "
    "noble northern patient placid plucky polar proud quick quiet rapid ready roaming salty serene sharp "
    "silent silver sleek smooth southern spry stable steady sturdy sunny sure swift tidal trusty upbeat "
    "vast vivid warm western wise"
).split()
_WHAT = (
    "albatross anchor argonaut barge bark barque beacon bosun brig buoy canoe capstan caravel carrack "
    "catamaran clipper cog coracle corvette cruiser curragh cutter dhow dinghy dolphin dory felucca ferry "
    "frigate galleon galley gannet gig gull harbor helm heron islander junk kayak keel ketch kite knarr "
    "launch liner longship lugger mariner mast narwhal navigator orca osprey outrigger packet paddle "
    "petrel pilot pinnace porpoise punt puffin raft rudder sailor sampan schooner sextant skerry skiff "
    "sloop spar steamer tern tide topsail trawler trireme tug voyager whaler wherry xebec yacht yawl"
).split()


def random_name() -> str:
    return f"{secrets.choice(_HOW)}_{secrets.choice(_WHAT)}"
